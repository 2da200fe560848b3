//! An order's events as lanes: a lane for each service, its topics beside it, time from top to bottom. Where nothing happens
//! time is compressed. An event is a box in its service's lane; a bar in the topic shows how long it waited in the outbox and
//! then until each of its effects, to which an arrow leads.

mod places;
mod words;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use self::places::{
    BOX, ELSEWHERE, GAP, HEAD, LANE, ROW, SERVICES, SLOT, SLOTS, digits, edge_towards, lane_of_source, lane_of_topic,
    left_of, rows, topics_of,
};
use self::words::{content, name, service_of};
pub use self::words::{kind, took};
use super::{Drawing, escape, shortened};
use crate::store::events::Event;

/// More events than these are not drawn, nor more marks.
pub const MOST: usize = 200;

/// Something else that a service is known to have done.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The service, by its name.
    pub service: &'static str,
    pub at: DateTime<Utc>,
    pub what: String,
}

/// Draws the first events of these, which are in the order of their times, and what else is known. An event's box leads to the
/// element with the id `event-` and its id.
pub fn draw(events: &[Event], marks: &[Mark]) -> String {
    let events = &events[..events.len().min(MOST)];
    let picture = Picture::of(events);
    let mut drawing = Drawing::default();
    let (width, height) = (picture.width(), picture.height());
    drawing.add(format_args!(
        r#"<svg class="draw-in" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" aria-label="What happened, service by service, from top to bottom">"#
    ));
    picture.heads(&mut drawing);
    picture.times(&mut drawing);
    for index in 0..events.len() {
        picture.way(&mut drawing, index);
    }
    for (index, event) in events.iter().enumerate() {
        picture.event(&mut drawing, index, event);
    }
    picture.marks(&mut drawing, &marks[..marks.len().min(MOST)]);
    drawing.add(format_args!("</svg>"));
    drawing.0
}

struct Picture<'a> {
    events: &'a [Event],
    lanes: Vec<&'static str>,
    /// Of each event, where its row is.
    rows: Vec<i64>,
    /// Of each event, the lane that it was announced in, and that of its topic.
    places: Vec<(usize, usize)>,
    /// Of each event, the bar's column within its topic.
    slots: Vec<usize>,
    /// Of each event, those that it caused.
    effects: Vec<Vec<usize>>,
}

impl<'a> Picture<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut lanes = SERVICES.to_vec();
        let places: Vec<_> =
            events.iter().map(|event| (lane_of_source(&event.source), lane_of_topic(&event.topic))).collect();
        if places.iter().any(|(lane, topic)| lane.max(topic) == &SERVICES.len()) {
            lanes.push(ELSEWHERE);
        }
        let by_id: HashMap<Uuid, usize> = events.iter().enumerate().map(|(index, event)| (event.id, index)).collect();
        let mut effects = vec![Vec::new(); events.len()];
        for (index, event) in events.iter().enumerate() {
            let cause = event.causation_id.and_then(|cause| by_id.get(&cause));
            if let Some(cause) = cause.filter(|cause| **cause != index) {
                effects[*cause].push(index);
            }
        }
        let mut picture = Self { events, lanes, rows: rows(events), places, slots: Vec::new(), effects };
        picture.slots = picture.in_slots();
        picture
    }

    fn width(&self) -> i64 {
        left_of(self.lanes.len())
    }

    fn height(&self) -> i64 {
        self.rows.last().map_or(HEAD + ROW, |row| row + ROW + 12)
    }

    /// Where a moment lies between the rows.
    fn y(&self, at: DateTime<Utc>) -> i64 {
        let after = self.events.partition_point(|event| event.time <= at);
        let row = |index: usize| self.events.get(index).map(|event| (event.time, self.rows[index]));
        match (after.checked_sub(1).and_then(row), row(after)) {
            (Some((from, top)), Some((to, bottom))) => {
                let (part, whole) = ((at - from).num_microseconds(), (to - from).num_microseconds());
                let (part, whole) = (part.unwrap_or(0), whole.unwrap_or(i64::MAX).max(1));
                top + i64::try_from(i128::from(bottom - top) * i128::from(part) / i128::from(whole)).unwrap_or(0)
            }
            (Some((from, top)), None) => top + 4 + digits((at - from).num_milliseconds()) * 4,
            (None, Some((_, bottom))) => (bottom - 16).max(HEAD),
            (None, None) => HEAD,
        }
    }

    /// Gives bars that overlap in time columns of their own, while there are any.
    fn in_slots(&self) -> Vec<usize> {
        let mut ends = vec![[i64::MIN; SLOTS]; self.lanes.len()];
        let slot = |index: usize| {
            let begin = self.rows[index];
            let end = self.effects[index].iter().map(|effect| self.rows[*effect]).max().unwrap_or(begin);
            let end = end.max(self.events[index].sent_at.map_or(begin, |sent| self.y(sent)));
            let ends = &mut ends[self.places[index].1];
            let free = ends.iter().position(|taken| *taken < begin - 4);
            let slot = free.or_else(|| (0..SLOTS).min_by_key(|slot| ends[*slot])).unwrap_or(0);
            ends[slot] = ends[slot].max(end);
            slot
        };
        (0..self.events.len()).map(slot).collect()
    }

    fn heads(&self, drawing: &mut Drawing) {
        let height = self.height();
        for (lane, service) in self.lanes.iter().enumerate() {
            let (x, beside) = (left_of(lane), left_of(lane) + LANE);
            drawing.add(format_args!(r#"<rect class="lane" x="{x}" y="0" width="{LANE}" height="{height}" rx="6"/>"#));
            drawing.add(format_args!(r#"<text class="strong" x="{}" y="22">{}</text>"#, x + 8, escape(service)));
            for (line, topic) in topics_of(service).into_iter().enumerate() {
                let y = 18 + 15 * i64::try_from(line).unwrap_or(0);
                drawing.add(format_args!(r#"<text class="soft tiny" x="{}" y="{y}">{topic}</text>"#, beside + 6));
            }
        }
        drawing.add(format_args!(r#"<path class="grid-line" d="M0 {0}H{1}"/>"#, HEAD - 14, self.width()));
    }

    /// When each event was, since the first, and where much time has passed.
    fn times(&self, drawing: &mut Drawing) {
        let Some(first) = self.events.first() else { return };
        for (index, event) in self.events.iter().enumerate() {
            let y = self.rows[index];
            let since = took(event.time - first.time);
            drawing.add(format_args!(
                r#"<g><title>{}</title><text class="soft mono" x="4" y="{}">+{since}</text></g>"#,
                event.time.format("%Y-%m-%d %H:%M:%S%.3f UTC"),
                y + 4
            ));
            let gap = index.checked_sub(1).map_or(TimeDelta::zero(), |before| event.time - self.events[before].time);
            if gap >= GAP {
                let (y, width) = (y - ROW / 2 - 4, self.width());
                drawing.add(format_args!(r#"<path class="grid-line" stroke-dasharray="2 5" d="M0 {y}H{width}"/>"#));
                let y = y - 3;
                drawing.add(format_args!(r#"<text class="soft tiny" x="4" y="{y}">{} later</text>"#, took(gap)));
            }
        }
    }

    /// The way of an event: out of its service, through the outbox and the topic, to its effects.
    fn way(&self, drawing: &mut Drawing, index: usize) {
        let event = &self.events[index];
        let (lane, topic) = self.places[index];
        let x = left_of(topic) + LANE + 10 + SLOT * i64::try_from(self.slots[index]).unwrap_or(0);
        let from = self.rows[index];
        let sent = event.sent_at.map(|sent| self.y(sent).max(from));
        let name = escape(&shortened(name(&event.event_type), 80));
        drawing.add(format_args!(r#"<path class="arrow" d="M{} {from}H{x}"/>"#, edge_towards(lane, x)));
        let mut effects = self.effects[index].clone();
        effects.sort_by_key(|effect| std::cmp::Reverse(self.rows[*effect]));
        for effect in effects {
            let (caused, to, begin) = (&self.events[effect], self.rows[effect], sent.unwrap_or(from));
            let (top, length) = (begin.min(to), (to - begin).abs().max(2));
            let edge = edge_towards(self.places[effect].0, x);
            let head = if edge > x { -6 } else { 6 };
            let told = match event.sent_at {
                Some(sent) => format!("{} in Kafka and in the lane", took(caused.time - sent)),
                None => format!("{} from change to change", took(caused.time - event.time)),
            };
            drawing.add(format_args!(
                r#"<g data-cause="{}" data-effect="{}"><title>{name} → {}: {told} of {}</title><rect class="travel" x="{}" y="{top}" width="6" height="{length}"/><path class="arrow" d="M{x} {to}H{edge}"/><path class="arrow-head" d="M{edge} {to}l{head} -4v8z"/></g>"#,
                event.id,
                caused.id,
                escape(&shortened(self::words::name(&caused.event_type), 80)),
                escape(&shortened(service_of(&caused.source), 80)),
                x - 3
            ));
        }
        if let (Some(sent), Some(at)) = (sent, event.sent_at) {
            let length = (sent - from).max(2);
            drawing.add(format_args!(
                r#"<g><title>{name}: {} in the outbox of {}</title><rect class="wait" x="{}" y="{from}" width="6" height="{length}"/><circle class="arrow-head" cx="{x}" cy="{sent}" r="3.5"/></g>"#,
                took(at - event.time),
                escape(&shortened(service_of(&event.source), 80)),
                x - 3
            ));
        }
    }

    fn event(&self, drawing: &mut Drawing, index: usize, event: &Event) {
        let (x, y) = (left_of(self.places[index].0) + (LANE - BOX.0) / 2, self.rows[index] - BOX.1 / 2);
        let whole = escape(&shortened(&event.event_type, 80));
        drawing.add(format_args!(
            r##"<a href="#event-{id}" aria-label="{whole}"><title>{whole}
{time}, by {source}
{topic}, partition {partition}, offset {offset}{sequence}
{content}</title><rect class="box {kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/><text x="{text}" y="{line}">{name}</text></a>"##,
            id = event.id,
            time = event.time.format("%Y-%m-%d %H:%M:%S%.3f UTC"),
            source = escape(&shortened(&event.source, 80)),
            topic = escape(&shortened(&event.topic, 80)),
            partition = event.partition,
            offset = event.record_offset,
            sequence = event.sequence.map_or_else(String::new, |sequence| format!(", number {sequence} of its key")),
            content = escape(&content(event)),
            kind = kind(&event.event_type),
            width = BOX.0,
            height = BOX.1,
            text = x + 8,
            line = y + 18,
            name = escape(&shortened(name(&event.event_type), 24)),
        ));
    }

    fn marks(&self, drawing: &mut Drawing, marks: &[Mark]) {
        for mark in marks {
            let Some(lane) = self.lanes.iter().position(|service| *service == mark.service) else { continue };
            let (x, y) = (left_of(lane) + LANE - 4, self.y(mark.at));
            drawing.add(format_args!(
                r#"<g><title>{}: {}, {}</title><circle class="box" cx="{x}" cy="{y}" r="4"/></g>"#,
                mark.service,
                escape(&shortened(&mark.what, 200)),
                mark.at.format("%H:%M:%S%.3f UTC")
            ));
        }
    }
}

#[cfg(test)]
mod tests;
