"""Read by gunicorn from the folder it starts in. Its logs have no request paths, which may hold a National ID."""

from gunicorn.glogging import Logger

from passport.logs import WithoutRequests

access_log_format = "%(t)s %(m)s %(s)s %(B)s %(M)sms"


class PathlessLogger(Logger):
    """Gunicorn's, whatever --log-level says: at debug it would name every path, and refused requests at warning."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(WithoutRequests())


logger_class = PathlessLogger
