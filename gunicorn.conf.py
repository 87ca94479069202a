"""Read by gunicorn from the folder it starts in. Its access log has no path, which may hold a National ID."""

access_log_format = "%(t)s %(m)s %(s)s %(B)s %(M)sms"
