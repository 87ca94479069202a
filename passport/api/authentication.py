"""Who calls: a bearer token, and the account as the database has it now, at every request."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework_simplejwt import authentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed

from passport.api import tokens
from passport.models import User


class JWTAuthentication(authentication.JWTAuthentication):
    """The token only says which account; role and standing are read anew, so a change holds at once."""

    def get_user(self, validated_token: Any) -> User:  # type: ignore[override]  # a User is what its AuthUser stands for
        try:
            user = User.objects.filter(pk=validated_token.get("user_id")).first()
        except (ValueError, TypeError, ValidationError):
            user = None
        if user is None or not user.is_active or not tokens.fits(token=validated_token, user=user):
            # Gone, closed and never there are the same answer; so are another password, and a code that is due.
            raise AuthenticationFailed("This token is no longer good. Log in again.", code="token-not-valid")
        return user


class JWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "passport.api.authentication.JWTAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002 - a fixed signature
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
