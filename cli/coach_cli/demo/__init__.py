"""The demonstration: a small studio, made and used through the doors that its people would use.

`people` says who and when, `doors` how they come in, `studio` makes what is missing, `scenes` tries what must not work,
`report` shows it. A second run finds everything by its natural keys and request ids, and adds nothing.
"""
