//! Reading a log whole: every row against its checksum, and the tables against each other.

use std::{
    io,
    ops::Bound::{Excluded, Included},
    path::Path,
    thread,
};

use fjall::{Guard, Slice, UserKey};
use sosik_core::{cursor::Position, name::ChannelName, store::StoreError};
use tokio::sync::oneshot;

use super::{
    Handle, OpenError,
    backup::Moment,
    check,
    commits::TABLES,
    directory::{Directory, is_log},
    engine_error::Said,
    layout::{REMOVAL, TAIL, channel_of, event_key, event_of, marked_by, order_key, position_of},
    open::{engine, find},
    report::{Damage, DamageKind, Report},
    tables::{Tables, View},
    value::{EventValue, OrderValue, Record, Tail, Value, is_whole},
    witness::WitnessFile,
};

/// Reads all of the log in `path`, which must not be open, and says what is wrong. Changes nothing.
///
/// Errors: [`OpenError`], also when what is there is too damaged to be read at all.
pub fn verify(path: &Path) -> Result<Report, OpenError> {
    if !is_log(path)? {
        return Err(OpenError::Io { path: path.into(), source: io::ErrorKind::NotFound.into() });
    }
    let directory = Directory::open(path)?;
    let tables = engine(&directory)?;
    Ok(all(&tables, &directory))
}

/// Reads all that lies in `tables`, and holds its end against what was vouched for. A first open that was interrupted has
/// left nothing to find.
pub(super) fn all(tables: &Tables, directory: &Directory) -> Report {
    let mut inspector = Inspector::default();
    if let Some(hole) = tables.commits.hole() {
        inspector.report.add(DamageKind::Hole, || hole);
    }
    if !directory.is_new {
        match find(tables) {
            Ok(found) => {
                let less = check::less(&found, WitnessFile::look(directory.path()));
                less.into_iter().for_each(|less| inspector.report.add(DamageKind::Hole, || less));
            }
            Err(error) => inspector.report.add(DamageKind::Meta, || error.to_string()),
        }
    }
    let view = tables.view();
    for table in 0..TABLES {
        let mut last = None;
        while let Some(key) = inspector.part(&view, table, last.as_deref()) {
            last = Some(key);
        }
    }
    inspector.sums(&view);
    inspector.end(tables, directory);
    inspector.report
}

/// The same of a log that lives, as it is at one moment, on a thread of its own. Dropping the future ends it.
pub(super) async fn on_a_thread(handle: std::sync::Arc<Handle>) -> Result<Report, StoreError> {
    let (reply, answer) = oneshot::channel();
    let work = move || {
        let found = live(&handle, || !reply.is_closed());
        // Whoever closes the log when it is told finds nobody else at it.
        drop(handle);
        // Who has gone is not told.
        let _ = reply.send(found);
    };
    let started = thread::Builder::new().name("sosik-verify".into()).spawn(work);
    started.map_err(|error| StoreError::Failed(format!("verifying cannot begin: {error}")))?;
    answer.await.unwrap_or_else(|_| Err(StoreError::Failed("verifying has panicked".into())))
}

fn live(handle: &Handle, is_wanted: impl Fn() -> bool) -> Result<Report, StoreError> {
    let moment = Moment::new(handle);
    let mut inspector = Inspector::default();
    for table in 0..TABLES {
        let mut last: Option<UserKey> = None;
        while is_wanted() {
            let part = moment.look(|view| inspector.part(view, table, last.as_deref()));
            let Some(key) = part.map_err(|_| StoreError::Unavailable)? else { break };
            last = Some(key);
        }
    }
    moment.look(|view| inspector.sums(view)).map_err(|_| StoreError::Unavailable)?;
    Ok(inspector.report)
}

/// Holds rows against what they should be.
#[derive(Default)]
pub(super) struct Inspector {
    pub(super) report: Report,
    /// The channel of the events looked at last, and where what is kept of it begins.
    channel: Option<(ChannelName, Position)>,
    /// Events and bytes that the records looked at say are kept.
    kept: (u64, u64),
}

impl Inspector {
    /// Looks at some rows of a table behind the key `after`, and answers the last of them; `None` at its end.
    pub(super) fn part(&mut self, view: &View<'_>, table: usize, after: Option<&[u8]>) -> Option<UserKey> {
        let (name, table) = view.tables.all()[table];
        let mut last = None;
        for row in view.rows_after(table, after).take(ROWS_AT_ONCE) {
            match row.into_inner() {
                Ok((key, value)) => {
                    self.report.rows += 1;
                    self.report.bytes += (key.len() + value.len()) as u64;
                    self.row(view, name, &key, &value);
                    last = Some(key);
                }
                Err(error) => {
                    let place = || format!("table {name}, which was not read further: {}", Said(&error));
                    self.report.add(DamageKind::Unreadable, place);
                    return None;
                }
            }
        }
        last
    }

    fn row(&mut self, view: &View<'_>, table: &str, key: &[u8], value: &[u8]) {
        match table {
            "events" => self.event(view, key, value),
            "order" => self.order(view, key, value),
            "channels" => self.record(view, key, value),
            // A removal is all in its key.
            "meta" if key.first() == Some(&REMOVAL) && value.is_empty() => {}
            _ if is_whole(key, value) => {}
            _ => self.report.add(DamageKind::Meta, || format!("table {table}, key {}", key.escape_ascii())),
        }
    }

    fn event(&mut self, view: &View<'_>, key: &[u8], value: &[u8]) {
        let Some((channel, position)) = event_of(key) else {
            return self.report.add(DamageKind::Event, || format!("the key {}", key.escape_ascii()));
        };
        let place = || format!("{channel} at position {}", position.number());
        let is_kept = position > self.floor(view, &channel);
        if is_kept && matches!(view.stored_record(&channel), Ok(None)) {
            self.report.add(DamageKind::Record, || format!("{channel} has none"));
        }
        let Ok(event) = EventValue::unseal(key, value) else {
            return self.report.add(DamageKind::Event, place);
        };
        self.report.events += u64::from(is_kept);
        match view.value::<OrderValue>(&view.tables.order, &order_key(position), place) {
            Ok(Some(row)) if row.channel == channel && row.seq == event.seq => {}
            Ok(None) if is_kept => self.report.add(DamageKind::MissingOrder, place),
            Ok(Some(_)) => self.report.add(DamageKind::Order, place),
            // What is on its way out, and a row that is damaged: that one is met in its own table.
            Ok(None) | Err(_) => {}
        }
    }

    fn order(&mut self, view: &View<'_>, key: &[u8], value: &[u8]) {
        let position = position_of(key).unwrap_or_default();
        let Ok(OrderValue { channel, .. }) = OrderValue::unseal(key, value) else {
            return self.report.add(DamageKind::Order, || format!("position {}", position.number()));
        };
        let place = || format!("{channel} at position {}", position.number());
        let found = view.bytes(&view.tables.events, &event_key(&channel, position), place);
        if matches!(found, Ok(None)) && position > self.floor(view, &channel) {
            self.report.add(DamageKind::MissingEvent, place);
        }
    }

    fn record(&mut self, view: &View<'_>, key: &[u8], value: &[u8]) {
        if let Some(namespace) = marked_by(key) {
            if Position::unseal(key, value).is_err() {
                self.report.add(DamageKind::Record, || format!("the mark of namespace {namespace}"));
            }
            return;
        }
        let (channel, record) = (channel_of(key), Record::unseal(key, value));
        let (Some(channel), Ok(record)) = (channel, record) else {
            return self.report.add(DamageKind::Record, || key.escape_ascii().to_string());
        };
        self.report.channels += 1;
        let last = record.head.position;
        let found: Result<Option<Slice>, _> =
            view.bytes(&view.tables.events, &event_key(&channel, last), || channel.to_string());
        // A channel of signals keeps none.
        if matches!(found, Ok(None)) && last > record.floor() && record.head.events() > 0 {
            let place = || format!("{channel}, whose last event, at position {}, is missing", last.number());
            self.report.add(DamageKind::Record, place);
        }
        self.kept = (self.kept.0 + record.head.events(), self.kept.1 + record.head.bytes);
        self.first(view, &channel, record);
    }

    /// What a record says of what is kept, against its first event. One that is damaged says nothing.
    fn first(&mut self, view: &View<'_>, channel: &ChannelName, record: Record) {
        let (from, to) = (event_key(channel, record.floor()), event_key(channel, Position::END));
        let mut rows = view.rows(&view.tables.events, Excluded(from), Included(to));
        let Some(Ok((key, value))) = rows.next().map(Guard::into_inner) else { return };
        let Ok(event) = EventValue::unseal(&key, &value) else { return };
        let kept = (event.seq, record.bytes.checked_sub(event.before));
        if kept != (record.head.first_seq, Some(record.head.bytes)) {
            let place = || format!("{channel}, which does not say of its first event what that says");
            self.report.add(DamageKind::Record, place);
        }
    }

    /// What a start would take for a hole, if nothing says so yet: a log that begins a new epoch then is not whole.
    fn end(&mut self, tables: &Tables, directory: &Directory) {
        if directory.is_new || !self.report.is_whole() {
            return;
        }
        let end = find(tables).and_then(|found| check::end(tables, &found));
        if let Some(why) = end.unwrap_or_else(|error| Some(error.to_string())) {
            self.report.add(DamageKind::Hole, || why);
        }
    }

    /// What the log says it keeps, against what its records say: all of them were looked at, at one moment.
    fn sums(&mut self, view: &View<'_>) {
        let is_partial = |damage: &Damage| matches!(damage.kind, DamageKind::Record | DamageKind::Unreadable);
        let tail: Result<Option<Tail>, _> = view.value(&view.tables.meta, TAIL, String::new);
        let (Ok(Some(tail)), false) = (tail, self.report.damage.iter().any(is_partial)) else { return };
        if tail.kept != self.kept {
            let ((events, bytes), (own_events, own_bytes)) = (tail.kept, self.kept);
            let place = || {
                format!(
                    "the tail, which names {events} events of {bytes} bytes as kept: the records name \
                     {own_events} of {own_bytes}"
                )
            };
            self.report.add(DamageKind::Meta, place);
        }
    }

    /// What lies at or below is gone, taken away or not yet.
    fn floor(&mut self, view: &View<'_>, channel: &ChannelName) -> Position {
        if let Some((own, floor)) = &self.channel
            && own == channel
        {
            return *floor;
        }
        let mark = view.mark(channel.namespace()).unwrap_or_default();
        let floor = match view.stored_record(channel) {
            Ok(Some(record)) => record.floor(),
            // A name that was forgotten, whose events are on their way out; or a record that is met in its own table.
            Ok(None) | Err(_) => mark,
        };
        self.channel = Some((channel.clone(), floor));
        floor
    }
}

/// Rows looked at before others get a turn at the engine.
const ROWS_AT_ONCE: usize = 1_000;
