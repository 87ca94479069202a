"""Settings. Everything that differs between machines comes from the environment or from `.env`; see `.env.example`."""

import base64
import hashlib
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.conf.locale import LANG_INFO
from django.core.exceptions import ImproperlyConfigured

from passport import environment

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
environ.FileAwareEnv.read_env(BASE_DIR / ".env")

# Where the embedded default keeps its files: database, cache, made secrets.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

DEBUG = environment.yes_or_no(env, name="DEBUG", default=False)
SECRET_KEY = environment.made_secret(env, name="SECRET_KEY", debug=DEBUG, var=VAR_DIR)
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters and could be guessed. Make a longer one.")
CREDENTIAL_KEYS = environment.fernet_keys(
    environment.made_secret(env, name="CREDENTIAL_KEYS", debug=DEBUG, var=VAR_DIR)
)
# Where `azure:NAME` leads. Set here and not in the reference: who edits a hospital cannot name another vault.
AZURE_KEY_VAULT = environment.vault(env.str("AZURE_KEY_VAULT", default=""), name="AZURE_KEY_VAULT")
AZURE_SECRET_PREFIX: str = env.str("AZURE_SECRET_PREFIX", default="hospital-")
# The audit chain is signed with a key of its own, so that one who can write to the database cannot forge it.
AUDIT_KEY: str = (
    env.str("AUDIT_KEY", default="")
    or base64.b64encode(hashlib.blake2b(b"audit chain", key=SECRET_KEY.encode()[:64]).digest()).decode()
)
# Under these, oldest first, earlier rows were signed: a new AUDIT_KEY does not make them look altered.
AUDIT_OLD_KEYS: list[str] = [key.strip() for key in env.str("AUDIT_OLD_KEYS", default="").split(",") if key.strip()]
# Where the end of the chain is told once a day: it cannot be written anew afterwards without showing.
AUDIT_PUBLISH_TO = environment.places(env.str("AUDIT_PUBLISH_TO", default=""), name="AUDIT_PUBLISH_TO")
# Where alerts are told; without it they stand in admin alone.
ALERT_TO = environment.places(env.str("ALERT_TO", default=""), name="ALERT_TO")
# Mail cannot know the address of a page otherwise: a request's Host is what the one who asks says.
PUBLIC_URL = environment.public_url(env.str("PUBLIC_URL", default=""), name="PUBLIC_URL")
# Short messages, for notices: none are sent, nor offered, without a backend.
SMS_BACKEND = environment.sms_backend(env.str("SMS_BACKEND", default=""), name="SMS_BACKEND")
SMS_WEBHOOK_URL = environment.webhook(env.str("SMS_WEBHOOK_URL", default=""), name="SMS_WEBHOOK_URL")
SMS_WEBHOOK_TOKEN: str = env.str("SMS_WEBHOOK_TOKEN", default="")
# A patient is told of something new at most once in so many hours.
NOTICE_HOURS = environment.whole_number(env, name="NOTICE_HOURS", default=24, low=1, high=720)
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")

ALLOWED_HOSTS: list[str] = [
    host.strip() for host in env.str("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]").split(",") if host.strip()
]
CSRF_TRUSTED_ORIGINS: list[str] = [
    origin.strip() for origin in env.str("CSRF_TRUSTED_ORIGINS", default="").split(",") if origin.strip()
]

INSTALLED_APPS = [
    "passport.apps.PassportConfig",
    "hospitals.apps.HospitalsConfig",
    "openmrs_sync.apps.OpenmrsSyncConfig",
    "passport.apps.PassportAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_q",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "passport.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "passport.middleware.IdleSessions",
    "passport.languages.Language",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "passport.middleware.ForButtonsOnly",
]

ROOT_URLCONF = "passport.urls"
WSGI_APPLICATION = "passport.wsgi.application"
APPEND_SLASH = False  # a redirect would lose the body of a POST; both spellings are routed instead
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["passport.template_files.Loader", "django.template.loaders.app_directories.Loader"],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- stores -----------------------------------------------------------------------------------------------------------

DATABASE_URL: str = env.str("DATABASE_URL", default="") or f"sqlite:///{VAR_DIR / 'passport.sqlite3'}"
CONTROL_DATABASE_URL: str = env.str("CONTROL_DATABASE_URL", default="")
if environment.is_mongodb(DATABASE_URL):
    DATABASES: dict[str, Any] = {
        "default": environment.relational(
            CONTROL_DATABASE_URL or f"sqlite:///{VAR_DIR / 'passport.sqlite3'}",
            name="CONTROL_DATABASE_URL",
            base=BASE_DIR,
        ),
        "records": environment.mongodb(DATABASE_URL),
    }
else:
    DATABASES = {"default": environment.relational(DATABASE_URL, name="DATABASE_URL", base=BASE_DIR)}
DATABASE_ROUTERS = ["passport.router.RecordsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = environment.redis_url(env.str("REDIS_URL", default=""))
_CACHE_FILES = {
    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
    "LOCATION": str(VAR_DIR / "cache"),
    "OPTIONS": {"MAX_ENTRIES": 5_000},
}
# A table of our database, made by a migration whether it is used or not.
CACHE_TABLE = "passport_cache"
IS_ONE_MACHINE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
CACHES: dict[str, Any] = {
    # Limits are counted here, and what one process tells another: shared by all processes, so never LocMem; and by all
    # machines, so files only where the database is a file too.
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else _CACHE_FILES
    if IS_ONE_MACHINE
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": CACHE_TABLE,
        "OPTIONS": {"MAX_ENTRIES": 5_000},
    },
    # What a cluster of the queue says of itself twice a second. Nobody on another machine asks for it.
    "queue": _CACHE_FILES | {"LOCATION": str(VAR_DIR / "cache" / "queue")},
}

# --- the queue --------------------------------------------------------------------------------------------------------

SYNC_TASK_SECONDS = 900  # one hospital's run ends by itself within one interval, and never later than this
Q_WORKERS = environment.whole_number(env, name="Q_WORKERS", default=2, low=1, high=64)
Q_CLUSTER: dict[str, Any] = {
    "name": "passport",
    "workers": Q_WORKERS,
    "bulk": 1,
    "queue_limit": Q_WORKERS,
    "timeout": SYNC_TASK_SECONDS,
    # `retry` counts from the moment a task leaves the database, waiting included: see the system check.
    "retry": SYNC_TASK_SECONDS * (1 + ceil((Q_WORKERS + 1) / Q_WORKERS)) + 60,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 500,
    # A worker that retires looks to the supervisor like one that died, and the whole cluster is started again.
    "recycle": 1_000_000,
    "poll": 0.2,  # seconds between two looks of the pusher at an empty queue; one cheap query each
    "label": "Queue",
    "cache": "queue",
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default", "broker_class": "openmrs_sync.broker.InOrder"}),
}

# --- hospitals and matching -------------------------------------------------------------------------------------------

ALLOWED_SOURCE_NETWORKS = environment.networks(
    env.str("ALLOWED_SOURCE_NETWORKS", default=""), name="ALLOWED_SOURCE_NETWORKS"
)
# Seconds. A hospital's port that accepts and says nothing would otherwise hold a worker for ever.
SOURCE_CONNECT_TIMEOUT = 5
SOURCE_READ_TIMEOUT = 30
SOURCE_WRITE_TIMEOUT = 10
# Those count from one byte to the next. These are for the whole: the name, the connection and the login; one statement
# with all its rows. A run itself ends with its interval: see `openmrs_sync.tasks`.
SOURCE_OPEN_TIMEOUT = 15
SOURCE_STATEMENT_TIMEOUT = 45
NATIONAL_ID_PATTERN = environment.pattern(env.str("NATIONAL_ID_PATTERN", default=""), name="NATIONAL_ID_PATTERN")
# Seconds between two looks of the lookout at one hospital; 0: there is no lookout.
WATCH_SECONDS = environment.whole_number(env, name="WATCH_SECONDS", default=3, low=0, high=3600)
OPENMRS_AUTO_START_SYNC = environment.yes_or_no(env, name="OPENMRS_AUTO_START_SYNC", default=True)
OPENMRS_SYNC_INTERVAL = environment.whole_number(env, name="OPENMRS_SYNC_INTERVAL", default=5, low=1, high=1440)

# --- who may see whom -------------------------------------------------------------------------------------------------

# For so many months a record from a doctor's own hospital is a care relationship.
CARE_MONTHS = environment.whole_number(env, name="CARE_MONTHS", default=12, low=1, high=120)

# --- who may enter ----------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "passport.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "passport.passwords.LengthValidator"},
    {"NAME": "passport.passwords.ContextValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# NIST SP 800-63B: where the password is all that is asked for, and where a one-time code stands beside it.
PASSWORD_ONLY_MIN_LENGTH = environment.whole_number(
    env, name="PASSWORD_ONLY_MIN_LENGTH", default=8 if DEBUG else 15, low=8, high=64
)
PASSWORD_MIN_LENGTH = 8
PASSWORD_RESET_TIMEOUT = 60 * 60
SESSION_IDLE_MINUTES = environment.whole_number(env, name="SESSION_IDLE_MINUTES", default=30, low=1, high=720)
DESK_CODE_HOURS = environment.whole_number(env, name="DESK_CODE_HOURS", default=48, low=1, high=720)
REQUIRE_CONSENT = environment.yes_or_no(env, name="REQUIRE_CONSENT", default=False)
READ_AFTER_DEATH_DAYS = environment.whole_number(env, name="READ_AFTER_DEATH_DAYS", default=365, low=0, high=36_500)
RETENTION_YEARS = environment.whole_number(env, name="RETENTION_YEARS", default=10, low=1, high=100)
REQUIRE_TOTP = environment.yes_or_no(env, name="REQUIRE_TOTP", default=not DEBUG)
OTP_TOTP_ISSUER = "Patient Passport"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True
LOGIN_URL = "home"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["passport.api.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["passport.api.parsing.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "passport.api.problems.problem_response",
    "DEFAULT_THROTTLE_RATES": {"lookup": "120/min"},
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SIMPLE_JWT: dict[str, Any] = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(hours=12),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "UPDATE_LAST_LOGIN": True,
    "USER_ID_FIELD": "id",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Patient Passport",
    "DESCRIPTION": "One history per patient, read from every hospital's OpenMRS.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}

# --- web --------------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "français"), ("rw", "Ikinyarwanda")]
# Django has no name for Kinyarwanda, and without one every page in it would fail.
LANG_INFO["rw"] = {"bidi": False, "code": "rw", "name": "Kinyarwanda", "name_local": "Ikinyarwanda"}
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "passport.formats"
LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_AGE = True, 60 * 60 * 24 * 365
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
TIME_ZONE_DISPLAY: str = env.str("TIME_ZONE_DISPLAY", default="Africa/Kigali")
try:
    ZoneInfo(TIME_ZONE_DISPLAY)
except (ZoneInfoNotFoundError, ValueError):
    raise ImproperlyConfigured("TIME_ZONE_DISPLAY is not a time zone. Example: Africa/Kigali") from None

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

SECURE_COOKIES = environment.yes_or_no(env, name="SECURE_COOKIES", default=not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * 12
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SECURE_SSL_REDIRECT = SECURE_COOKIES
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_COOKIES else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_COOKIES
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

# Without EMAIL_URL nothing is sent, and a forgotten password is the hospital desk's business.
globals().update(environment.mail(env.str("EMAIL_URL", default="")))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="Patient Passport <no-reply@localhost>")

# Events, ids and counts only; `passport.logs` takes National IDs out of request paths.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no_national_ids": {"()": "passport.logs.WithoutNationalIds"}},
    "formatters": {"json": {"()": "passport.logs.JsonFormatter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["no_national_ids"]},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO").upper()},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # It tells every command with its documents: values of records.
        "pymongo": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # They tell every step of a PDF.
        "weasyprint": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        "fontTools": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
    },
}
