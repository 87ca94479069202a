"""Django's MySQL backend for hospitals: older servers are welcome, and nothing is sent in pairs of statements."""
