"""Failures that happened to others, each as a test of ours. The T-number in a docstring is the story's.

What an older test holds in full is not told again here; `tests/test_repository.py` counts them all.
"""
