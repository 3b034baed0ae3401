"""The small charts of `medtrack.console.dashboard.charts` as markup that a column of a list can show.

Each says in words what it shows: `label` is what a screen reader reads and the mouse finds.
"""

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from medtrack.console.dashboard.charts import share_bar


def share_bar_svg(
    parts: Iterable[tuple[str, float]], *, label: str, width: float = 120, height: float = 8
) -> SafeString:
    """The kinds of the parts are classes of console.css: `taken`, `skipped`, `missed`, `rest` and so on."""
    boxes = format_html_join(
        "",
        '<rect class="fill-{}" x="{}" y="{}" width="{}" height="{}"/>',
        (
            (box.kind, box.x, box.y, box.width, box.height)
            for box in share_bar(parts, width=width, height=height)
        ),
    )
    return format_html(
        '<svg class="share-bar" role="img" width="{w}" height="{h}" viewBox="0 0 {w} {h}" preserveAspectRatio="none">'
        '<title>{label}</title><rect class="fill-nothing" width="{w}" height="{h}"/>{boxes}</svg>',
        w=width,
        h=height,
        label=label,
        boxes=boxes,
    )
