"""What tests stand on: a server per version, a database per test, callers that speak as the apps do, races, a world."""
