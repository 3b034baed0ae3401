"""What both peers check of an access token; whether its session is alive is a question to the database."""

import os
from typing import Annotated, NamedTuple
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

SECRET_KEY = os.environ["SECRET_KEY"]
bearer = HTTPBearer()


class Claims(NamedTuple):
    user_id: UUID
    session_id: UUID


async def read_claims(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> Claims:
    try:
        claims = jwt.decode(
            credentials.credentials,
            SECRET_KEY,
            ["HS256"],
            issuer="medtrack",
            audience="medtrack-api",
            options={"require": ["exp", "iat", "sub", "sid", "typ"]},
        )
        if claims["typ"] != "access":
            raise ValueError("not an access token")
        return Claims(UUID(claims["sub"]), UUID(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError) as error:
        raise HTTPException(401, "The access token is not valid or has expired.") from error


CurrentClaims = Annotated[Claims, Depends(read_claims)]
