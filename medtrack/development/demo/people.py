"""The invented people of the demo: their logins, devices, medications and habits. Only data."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal

from dosing.models import Schedule
from medications.models import Medication
from notifications.models import DeviceToken

Form = Medication.Form
Meal = Schedule.MealRelation
Platform = DeviceToken.Platform

PASSWORD = "medtrack-demo"  # noqa: S105 - printed by create_demo, which works in development only
ADMIN_EMAIL = "admin@medtrack.example"
ADMIN_ZONE = "UTC"


@dataclass(frozen=True)
class Habits:
    """How a patient answers doses. All values are shares of the instants at which doses are due, from 0 to 1.

    `takes` is the share taken on weekday mornings at the start of the history. `weekend` and `evening` reduce
    it at these times, and `decline` reduces it gradually until the last day. `late`, `after_missed` and
    `undoes` are shares of those taken, `skips` of those not taken.
    """

    takes: float
    weekend: float
    evening: float
    decline: float
    late: float
    after_missed: float
    undoes: float
    skips: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DemoSlot:
    """A time of day at which a medication is taken, daily or on some weekdays."""

    at: time
    meal: Meal = Meal.ANY
    weekdays: tuple[str, ...] = ()
    quantity: Decimal = Decimal(1)


@dataclass(frozen=True)
class DemoMedication:
    name: str
    strength: str
    dosage: str
    unit: str
    color_tag: str
    slots: tuple[DemoSlot, ...]
    form: Form = Form.TABLET
    memo: str = ""


@dataclass(frozen=True)
class DemoDevice:
    token: str
    platform: Platform
    name: str
    app_version: str = "1.0.0"


@dataclass(frozen=True)
class Login:
    role: str
    name: str
    email: str
    timezone: str
    language: str


@dataclass(frozen=True)
class DemoPatient:
    login: Login
    devices: tuple[DemoDevice, ...]
    medications: tuple[DemoMedication, ...]
    habits: Habits


VITAMIN_C = DemoMedication(
    name="비타민 C",
    strength="1000 mg",
    dosage="1정",
    unit="정",
    color_tag="#F2A81D",
    slots=(DemoSlot(time(12, 30), Meal.AFTER),),
)

SEOYEON = DemoPatient(
    login=Login("patient", "김서연", "seoyeon@medtrack.example", "Asia/Seoul", "ko"),
    devices=(DemoDevice("demo-seoul-phone", Platform.ANDROID, "Galaxy S24"),),
    medications=(
        DemoMedication(
            name="메트포르민",
            strength="500 mg",
            dosage="1정",
            unit="정",
            color_tag="#1D9E75",
            slots=(DemoSlot(time(8), Meal.AFTER), DemoSlot(time(19), Meal.AFTER)),
            memo="당뇨약. 식사 직후에 복용합니다.",
        ),
        DemoMedication(
            name="암로디핀",
            strength="5 mg",
            dosage="1정",
            unit="정",
            color_tag="#D9534F",
            slots=(DemoSlot(time(8), Meal.AFTER),),
            memo="혈압약. 자몽과 함께 먹지 않습니다.",
        ),
        DemoMedication(
            name="아토르바스타틴",
            strength="10 mg",
            dosage="1정",
            unit="정",
            color_tag="#5B6ABF",
            slots=(DemoSlot(time(21, 30)),),
        ),
        VITAMIN_C,
        DemoMedication(
            name="알렌드론산",
            strength="70 mg",
            dosage="1정",
            unit="정",
            color_tag="#8E6BBF",
            slots=(DemoSlot(time(6, 30), Meal.BEFORE, weekdays=("sun",)),),
            memo="일주일에 한 번, 물 한 컵과 함께 복용하고 30분간 눕지 않습니다.",
        ),
    ),
    habits=Habits(
        takes=0.965,
        weekend=0.0,
        evening=0.02,
        decline=0.0,
        late=0.06,
        after_missed=0.01,
        undoes=0.01,
        skips=0.3,
        reasons=("속이 메스꺼워서", "검사 전 금식이라서", "약을 집에 두고 나와서"),
    ),
)

MAYA = DemoPatient(
    login=Login("patient", "Maya Torres", "maya@medtrack.example", "America/New_York", "en"),
    devices=(
        DemoDevice("demo-new-york-phone", Platform.IOS, "iPhone 15"),
        DemoDevice("demo-new-york-tablet", Platform.IOS, "iPad Air"),
    ),
    medications=(
        DemoMedication(
            name="Levothyroxine",
            strength="50 µg",
            dosage="1 tablet",
            unit="tablet",
            color_tag="#F2A81D",
            slots=(DemoSlot(time(6, 30), Meal.BEFORE),),
            memo="On an empty stomach, half an hour before breakfast.",
        ),
        DemoMedication(
            name="Lisinopril",
            strength="10 mg",
            dosage="1 tablet",
            unit="tablet",
            color_tag="#D9534F",
            slots=(DemoSlot(time(8)),),
        ),
        DemoMedication(
            name="Fluticasone/salmeterol",
            strength="250/50 µg",
            dosage="1 inhalation",
            unit="inhalation",
            color_tag="#8E6BBF",
            slots=(DemoSlot(time(8)), DemoSlot(time(20))),
            form=Form.INHALER,
            memo="Rinse mouth with water afterwards.",
        ),
        DemoMedication(
            name="Atorvastatin",
            strength="20 mg",
            dosage="1 tablet",
            unit="tablet",
            color_tag="#5B6ABF",
            slots=(DemoSlot(time(21)),),
        ),
        DemoMedication(
            name="Vitamin D3",
            strength="50,000 IU",
            dosage="1 capsule",
            unit="capsule",
            color_tag="#1D9E75",
            slots=(DemoSlot(time(9), Meal.WITH, weekdays=("sun",)),),
            form=Form.CAPSULE,
        ),
    ),
    habits=Habits(
        takes=0.965,
        weekend=0.14,
        evening=0.14,
        decline=0.0,
        late=0.14,
        after_missed=0.03,
        undoes=0.015,
        skips=0.25,
        reasons=("Upset stomach", "Left my pills at home", "Out of refills until tomorrow"),
    ),
)

AIKO = DemoPatient(
    login=Login("patient", "Aiko Tanaka", "aiko@medtrack.example", "Europe/London", "ja"),
    devices=(
        DemoDevice("demo-london-phone", Platform.ANDROID, "Pixel 8"),
        DemoDevice("demo-london-browser", Platform.WEB, "Chrome"),
    ),
    medications=(
        DemoMedication(
            name="アムロジピン",
            strength="5 mg",
            dosage="1錠",
            unit="錠",
            color_tag="#D9534F",
            slots=(DemoSlot(time(7, 30), Meal.AFTER),),
        ),
        DemoMedication(
            name="メトホルミン",
            strength="250 mg",
            dosage="2錠",
            unit="錠",
            color_tag="#1D9E75",
            slots=(
                DemoSlot(time(7, 30), Meal.AFTER, quantity=Decimal(2)),
                DemoSlot(time(19, 30), Meal.AFTER, quantity=Decimal(2)),
            ),
            memo="朝・夕食後に服用。",
        ),
        DemoMedication(
            name="ラタノプロスト点眼液",
            strength="0.005 %",
            dosage="両眼に1滴ずつ",
            unit="滴",
            color_tag="#3B8EA5",
            slots=(DemoSlot(time(22), quantity=Decimal(2)),),
            form=Form.DROPS,
        ),
        DemoMedication(
            name="リセドロン酸",
            strength="17.5 mg",
            dosage="1錠",
            unit="錠",
            color_tag="#8E6BBF",
            slots=(DemoSlot(time(6, 45), Meal.BEFORE, weekdays=("mon",)),),
            memo="週に1回、起床時にコップ1杯の水で。30分は横にならない。",
        ),
    ),
    habits=Habits(
        takes=0.91,
        weekend=0.05,
        evening=0.06,
        decline=0.39,
        late=0.25,
        after_missed=0.06,
        undoes=0.015,
        skips=0.2,
        reasons=("胃の調子が悪かったため", "外出先に薬を持って行かなかったため", "食事をとらなかったため"),
    ),
)

PATIENTS = (SEOYEON, MAYA, AIKO)
CAREGIVER = Login("caregiver", "박민준", "minjun@medtrack.example", "Asia/Seoul", "ko")
CAREGIVER_DEVICE = "iPhone 15 Pro"
