"""A picture of a run: what was caused when, and which alarms fired meanwhile, as Prometheus recorded them."""

from html import escape

LEFT, RIGHT, ROW, TOP, WIDTH = 190, 20, 22, 150, 1100


def drawn(causes, alarms, begins, ends):
    """`causes` are (name, since, until); `alarms` are by name the times, a second apart, at which they fired."""
    def x(at):
        return LEFT + (at - begins) / (ends - begins) * (WIDTH - LEFT - RIGHT)

    names = sorted(alarms, key=lambda name: min(alarms[name]))
    height = TOP + ROW * len(names) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for name, since, until in causes:
        parts.append(f'<rect x="{x(since):.1f}" y="{TOP - 6}" width="{x(until) - x(since):.1f}" height="{ROW * len(names) + 12}" fill="#dde6f0"/>')
        parts.append(f'<text transform="translate({x(since) + 4:.1f},{TOP - 12}) rotate(-40)" fill="#1b3a5c">{escape(name)}</text>')
    for number, name in enumerate(names):
        y = TOP + number * ROW
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#222">{escape(name)}</text>')
        for since, until in spans(alarms[name]):
            parts.append(f'<rect x="{x(since):.1f}" y="{y + 4}" width="{max(1.5, x(until) - x(since)):.1f}" height="{ROW - 8}" fill="#c0392b"/>')
    bottom = TOP + ROW * len(names) + 6
    for minute in range(int((ends - begins) // 60) + 1):
        at = x(begins + 60 * minute)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="#555"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#555">{minute} min</text>')
    return "\n".join([*parts, "</svg>\n"])


def spans(times):
    """From times that are a second apart the stretches that they make."""
    times = sorted(set(times))
    since = last = times[0]
    for at in times[1:]:
        if at - last > 2:
            yield since, last
            since = at
        last = at
    yield since, last
