"""The base of views that list rows in pages."""

from typing import Any, TypeVar

from django.db.models import Model
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from medtrack.http.responses import serialized

M = TypeVar("M", bound=Model)


class ListView(ListAPIView[M]):
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        serializer = self.get_serializer_class()
        return self.get_paginated_response([serialized(serializer, one) for one in page or ()])
