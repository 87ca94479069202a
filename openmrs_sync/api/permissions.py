"""Who may call what, by role. What a doctor may see is `passport.access`'s to say."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from passport.models import User


class IsAdmin(BasePermission):
    message = "Only admins may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - a fixed signature
        return isinstance(request.user, User) and request.user.is_active and request.user.is_admin


class IsDoctorOrAdmin(BasePermission):
    message = "Only doctors and admins may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - a fixed signature
        user = request.user
        return isinstance(user, User) and user.is_active and (user.is_admin or user.is_doctor)
