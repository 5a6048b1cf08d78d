"""What is down, what still works: each row of docs/what-is-down.md as a test."""
