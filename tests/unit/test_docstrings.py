"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import coach_os

MODULES = [module.name for module in pkgutil.walk_packages(coach_os.__path__, "coach_os.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
