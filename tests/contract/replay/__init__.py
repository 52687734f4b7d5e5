"""The existing apps' calls (calls.jsonl), replayed as they make them, and what is known to be refused so far."""
