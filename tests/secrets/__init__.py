"""Secrets stay where they belong, and keys change while everything runs."""
