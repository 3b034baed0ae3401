"""Four operations of MedTrack as a FastAPI team writes them: SQLAlchemy's ORM on asyncpg, pydantic, dependencies.

Doses of schedules only, and the first page of the medications; everything else is as in MedTrack. Run by bench/api.py.
"""

import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from access import CurrentClaims
from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from sqlalchemy import DateTime, ForeignKey, and_, func, make_url, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, contains_eager, joinedload, mapped_column, relationship

DAY, ON_TIME, CLOCK_SKEW = timedelta(days=1), timedelta(minutes=60), timedelta(minutes=5)
MAX_DAYS = 400

# Models


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str | None]
    name: Mapped[str]
    timezone: Mapped[str]
    language: Mapped[str]
    is_active: Mapped[bool]
    deleted_at: Mapped[datetime | None]


class Login(Base):
    __tablename__ = "sessions"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    device_name: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship()


class Medication(Base):
    __tablename__ = "medications"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    dosage: Mapped[str]
    form: Mapped[str]
    strength: Mapped[str]
    unit: Mapped[str]
    color_tag: Mapped[str]
    memo: Mapped[str]
    is_active: Mapped[bool]
    paused_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    expires_on: Mapped[date | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Dose(Base):
    __tablename__ = "dose_logs"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    medication_id: Mapped[UUID] = mapped_column(ForeignKey("medications.id"))
    schedule_id: Mapped[UUID | None]
    log_date: Mapped[date]
    scheduled_time: Mapped[time | None]
    due_at: Mapped[datetime | None]
    answer_by: Mapped[datetime | None]
    quantity: Mapped[Decimal]
    taken_quantity: Mapped[Decimal | None]
    status: Mapped[str]
    taken_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    skip_reason: Mapped[str]
    note: Mapped[str]
    recorded_by_id: Mapped[UUID | None]
    medication: Mapped[Medication] = relationship()

    @property
    def actual_quantity(self) -> Decimal:
        return self.quantity if self.taken_quantity is None else self.taken_quantity


class DoseEvent(Base):
    __tablename__ = "dose_events"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    dose_id: Mapped[UUID] = mapped_column(ForeignKey("dose_logs.id"))
    action: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_by_id: Mapped[UUID]
    session_id: Mapped[UUID | None]
    payload: Mapped[dict[str, Any]]


# What goes in and out

Quantity = Annotated[Decimal, PlainSerializer(lambda value: f"{value.normalize():f}", return_type=str)]
WallTime = Annotated[time, PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str)]


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class MedicationOfDose(Output):
    id: UUID
    name: str
    dosage: str
    strength: str
    form: str
    unit: str
    color_tag: str
    current_name: str = Field(validation_alias="name")


class DoseOutput(Output):
    id: UUID
    schedule_id: UUID | None
    medication: MedicationOfDose
    log_date: date
    scheduled_time: WallTime | None
    due_at: datetime | None
    quantity: Quantity = Field(validation_alias="actual_quantity")
    status: str
    taken_at: datetime | None
    snoozed_until: datetime | None
    recorded_by: UUID | None = Field(validation_alias="recorded_by_id")
    skip_reason: str
    note: str
    also_on: date | None = None


class DayOutput(Output):
    date: date
    timezone: str
    results: list[DoseOutput]


class MedicationOutput(Output):
    id: UUID
    name: str
    dosage: str
    form: str
    strength: str
    unit: str
    color_tag: str
    memo: str
    is_active: bool
    paused_at: datetime | None
    paused_until: datetime | None
    expires_on: date | None
    version: int
    created_at: datetime
    updated_at: datetime


class MedicationPage(Output):
    results: list[MedicationOutput]
    next_cursor: str | None
    has_more: bool


class FiguresOutput(Output):
    due: int
    taken: int
    skipped: int
    missed: int
    on_time: int
    on_time_rate: float | None
    rate: float | None
    current_streak: int | None = None
    longest_streak: int | None = None


class PeriodOutput(FiguresOutput):
    period_start: date
    period_end: date
    medication: MedicationOfDose | None = None


class AdherenceOutput(Output):
    first: date = Field(serialization_alias="from")
    to: date
    timezone: str
    group_by: str
    total: FiguresOutput
    results: list[PeriodOutput]


class TakeInput(BaseModel):
    event_id: UUID | None = None
    occurred_at: AwareDatetime | None = None
    quantity: Decimal | None = Field(None, gt=0, max_digits=9, decimal_places=3)
    note: str | None = Field(None, max_length=500)


# Dependencies

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
# A request holds its connection until it is answered; fewer than these made it wait at 64 connections.
engine = create_async_engine(url, pool_size=20, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI(title="A conventional peer")


async def database() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Database = Annotated[AsyncSession, Depends(database)]


async def current_login(claims: CurrentClaims, db: Database) -> Login:
    alive = (
        select(Login)
        .join(Login.user)
        .options(contains_eager(Login.user))
        .where(Login.id == claims.session_id, Login.user_id == claims.user_id)
        .where(Login.revoked_at.is_(None), Login.expires_at > datetime.now(UTC))
        .where(User.is_active, User.deleted_at.is_(None))
    )
    login = await db.scalar(alive)
    if login is None:
        raise HTTPException(401, "This session has ended. Sign in again.")
    return login


CurrentLogin = Annotated[Login, Depends(current_login)]

# Operations


@app.get("/api/v1/doses")
async def list_doses(db: Database, login: CurrentLogin, date: date) -> DayOutput:
    of_day = (
        select(Dose)
        .options(joinedload(Dose.medication, innerjoin=True))
        .where(Dose.user_id == login.user_id, Dose.log_date == date)
        .where(or_(Dose.schedule_id.is_not(None), Dose.status != "pending"))
        .order_by(func.coalesce(Dose.due_at, Dose.taken_at), Dose.id)
    )
    doses = (await db.scalars(of_day)).all()
    return DayOutput(date=date, timezone=login.user.timezone, results=doses)


@app.get("/api/v1/medications")
async def list_medications(
    db: Database, login: CurrentLogin, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> MedicationPage:
    newest_first = (
        select(Medication)
        .where(Medication.user_id == login.user_id, Medication.deleted_at.is_(None))
        .order_by(Medication.created_at.desc(), Medication.id.desc())
        .limit(limit + 1)
    )
    medications = (await db.scalars(newest_first)).all()
    return MedicationPage(results=medications[:limit], next_cursor=None, has_more=len(medications) > limit)


@app.post("/api/v1/doses/{dose_id}/take")
async def take_dose(db: Database, login: CurrentLogin, dose_id: UUID, body: TakeInput) -> DoseOutput:
    now = datetime.now(UTC)
    occurred_at = body.occurred_at or now
    if occurred_at > now + CLOCK_SKEW:
        raise HTTPException(400, "This time is in the future.")
    mine = (
        select(Dose)
        .join(Dose.medication)
        .options(contains_eager(Dose.medication))
        .where(Dose.id == dose_id, Dose.user_id == login.user_id)
        .with_for_update(of=Dose)
    )
    dose = await db.scalar(mine)
    if dose is None:
        raise HTTPException(404, "Not medications.")
    payload = {name: str(value) for name, value in body if name in ("quantity", "note") and value is not None}
    known = await db.get(DoseEvent, body.event_id) if body.event_id else None
    if known is not None:
        if (known.dose_id, known.action, known.payload) != (dose.id, "taken", payload):
            raise HTTPException(409, "Something else has this id.")
        return DoseOutput.model_validate(dose)
    if dose.status not in ("pending", "missed"):
        if dose.status == "taken" and await was_taken(db, dose):
            return DoseOutput.model_validate(dose)
        raise HTTPException(409, "This dose cannot be changed in this way now.")
    dose.status, dose.taken_at, dose.taken_quantity = "taken", occurred_at, body.quantity
    dose.note, dose.skip_reason, dose.snoozed_until = body.note or "", "", None
    dose.recorded_by_id = login.user_id
    db.add(
        DoseEvent(
            id=body.event_id or uuid4(),
            dose_id=dose.id,
            action="taken",
            occurred_at=occurred_at,
            recorded_at=now,
            recorded_by_id=login.user_id,
            session_id=login.id,
            payload=payload,
        )
    )
    await db.commit()
    return DoseOutput.model_validate(dose)


async def was_taken(db: AsyncSession, dose: Dose) -> bool:
    events = select(DoseEvent.id).where(DoseEvent.dose_id == dose.id, DoseEvent.action == "taken").limit(1)
    return await db.scalar(events) is not None


@dataclass
class Figures:
    due: int = 0
    taken: int = 0
    skipped: int = 0
    missed: int = 0
    on_time: int = 0
    current_streak: int | None = field(default=None, kw_only=True)
    longest_streak: int | None = field(default=None, kw_only=True)

    @property
    def rate(self) -> float | None:
        return round(self.taken / self.due, 4) if self.due else None

    @property
    def on_time_rate(self) -> float | None:
        return round(self.on_time / self.taken, 4) if self.taken else None


@app.get("/api/v1/adherence")
async def get_adherence(
    db: Database, login: CurrentLogin, first: Annotated[date, Query(alias="from")], to: date
) -> AdherenceOutput:
    if not 0 <= (to - first).days < MAX_DAYS:
        raise HTTPException(400, f"At most {MAX_DAYS} days at a time.")
    days = await figures_by_day(db, login.user_id, first, to)
    dates = [first + n * DAY for n in range((to - first).days + 1)]
    results = [
        PeriodOutput(period_start=day, period_end=day, **figures_of(days.get(day, Figures())))
        for day in dates
    ]
    return AdherenceOutput(
        first=first,
        to=to,
        timezone=login.user.timezone,
        group_by="day",
        total=FiguresOutput(**figures_of(total(days.values()))),
        results=results,
    )


async def figures_by_day(db: AsyncSession, user_id: UUID, first: date, to: date) -> dict[date, Figures]:
    settled = Dose.status.in_(["taken", "skipped", "missed"])
    waiting = and_(Dose.status == "pending", Dose.answer_by.is_not(None), Dose.due_at <= datetime.now(UTC))
    on_time = Dose.taken_at.between(Dose.due_at - ON_TIME, Dose.due_at + ON_TIME)
    by_day = (
        select(
            Dose.log_date,
            func.count(),
            *(func.count().filter(Dose.status == status) for status in ("taken", "skipped", "missed")),
            func.count().filter(on_time),
        )
        .where(Dose.user_id == user_id, Dose.schedule_id.is_not(None), Dose.log_date.between(first, to))
        .where(or_(settled, waiting))
        .group_by(Dose.log_date)
        .order_by(Dose.log_date)
    )
    return {day: Figures(*counts) for day, *counts in await db.execute(by_day)}


def figures_of(figures: Figures) -> dict[str, Any]:
    return {**vars(figures), "rate": figures.rate, "on_time_rate": figures.on_time_rate}


def total(days: Iterable[Figures]) -> Figures:
    """Everything together; a streak is of days on which all doses were taken."""
    everything = Figures(current_streak=0, longest_streak=0)
    streak = longest = 0
    for day in days:
        everything.due += day.due
        everything.taken += day.taken
        everything.skipped += day.skipped
        everything.missed += day.missed
        everything.on_time += day.on_time
        if day.skipped or day.missed:
            streak = 0
        elif day.due == day.taken:
            streak += 1
            longest = max(longest, streak)
    everything.current_streak, everything.longest_streak = streak, longest
    return everything
