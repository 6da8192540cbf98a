//! Log lines: a filter that a reload can change, and a writer that never blocks whoever logs. Lines go through a bounded
//! queue to a thread of their own, because a stuck terminal or pipe must not stall the trading thread; when the queue is
//! full the line is lost and counted.

use std::backtrace::Backtrace;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, reload};

use super::log_file::{FILE_MAX, LogFile};
use super::{LogFormat, LogSink, TelemetryError};

/// Lines waiting for the writer. At some 200 bytes a line this is at most about 1.6 MB, and at ten thousand lines a
/// second it bridges a pause of most of a second.
const QUEUE_LINES: usize = 8_192;

/// A filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log filter expected directives such as \"info\" or \"info,ringfence::venues=debug\", found {found:?}: {why}")]
pub struct LogFilterError {
    pub found: String,
    pub why: String,
}

/// Changes the log filter of the running process.
#[derive(Clone)]
pub struct LogFilter {
    replace: Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

impl std::fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogFilter")
    }
}

impl LogFilter {
    /// Whether `directives` can be read, without applying them: for `check` and for a reload that is refused whole.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn validate(directives: &str) -> Result<(), LogFilterError> {
        parse(directives).map(drop)
    }

    /// Replaces the filter at once.
    ///
    /// # Errors
    /// When the directives cannot be read; the old filter stays.
    pub fn apply(&self, directives: &str) -> Result<(), LogFilterError> {
        let filter = parse(directives)?;
        (self.replace)(filter).map_err(|error| LogFilterError { found: directives.to_owned(), why: error.to_string() })
    }
}

fn parse(directives: &str) -> Result<EnvFilter, LogFilterError> {
    let refuse = |why: String| LogFilterError { found: directives.to_owned(), why };
    if directives.trim().is_empty() {
        return Err(refuse("it is empty, which would silence everything; use \"off\" to mean that".to_owned()));
    }
    let filter = EnvFilter::builder().parse(directives).map_err(|error| refuse(error.to_string()))?;
    // ractor keeps an INFO span open for an actor's whole life: it would stand in front of every line.
    let quiet = "ractor=warn".parse().map_err(|error: tracing_subscriber::filter::ParseError| refuse(error.to_string()))?;
    Ok(if directives.contains("ractor=") { filter } else { filter.add_directive(quiet) })
}

/// The filter of the log layer and the handle to change it.
pub(super) fn filter<S: Subscriber>(directives: &str) -> Result<(reload::Layer<EnvFilter, S>, LogFilter), LogFilterError> {
    let (layer, handle) = reload::Layer::new(parse(directives)?);
    Ok((layer, LogFilter { replace: Arc::new(move |filter| handle.reload(filter)) }))
}

/// The log layer over a writer.
pub(super) fn layer<S>(format: LogFormat, writer: QueueWriter, filter: reload::Layer<EnvFilter, S>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let ansi = writer.ansi;
    let base = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        LogFormat::Text => base.with_filter(filter).boxed(),
        LogFormat::Json => base.json().flatten_event(true).with_filter(filter).boxed(),
    }
}

enum Line {
    Text(Vec<u8>),
    /// Answered when every line before it is written.
    Flush(SyncSender<()>),
    /// Panic, for drills.
    Panic,
}

/// Hands whole lines to the writer thread.
#[derive(Clone)]
pub(super) struct QueueWriter {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    ansi: bool,
}

/// The other end of the queue; flushes through the same thread, so in order.
#[derive(Debug, Clone)]
pub(super) struct WriterGuard {
    lines: SyncSender<Line>,
}

impl WriterGuard {
    /// Waits until every line so far is written, at most `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        const RETRY_FULL_QUEUE_EVERY: Duration = Duration::from_millis(1);
        let deadline = Instant::now() + timeout;
        let (done, written) = sync_channel(1);
        let mut request = Line::Flush(done);
        while let Err(TrySendError::Full(back)) = self.lines.try_send(request) {
            if Instant::now() >= deadline {
                return;
            }
            request = back;
            std::thread::sleep(RETRY_FULL_QUEUE_EVERY);
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// How often the writer panicked and went on.
static DEATHS: AtomicU64 = AtomicU64::new(0);

/// How often the writer's thread died since the start. It goes on each time; the line that it died of is lost.
#[must_use]
pub fn writer_deaths() -> u64 {
    DEATHS.load(Ordering::Relaxed)
}

/// Has the writer panic at its next line, for the daemon's fault injection.
pub fn inject_panic() {
    if let Some(writer) = WRITER.get() {
        // A full queue is behind: whoever drills tries again.
        let _ = writer.lines.try_send(Line::Panic);
    }
}

static WRITER: OnceLock<WriterGuard> = OnceLock::new();

/// Makes `flush` reach this writer: the process's, once it is set up.
pub(super) fn install(writer: &WriterGuard) {
    WRITER.get_or_init(|| writer.clone());
}

/// Waits until every line so far is written, at most `timeout`: on the way to a hard exit, which runs no destructors.
pub fn flush(timeout: Duration) {
    if let Some(writer) = WRITER.get() {
        writer.flush(timeout);
    }
}

pub(super) fn writer(sink: &LogSink) -> Result<(QueueWriter, WriterGuard), TelemetryError> {
    let (out, ansi): (Box<dyn Write + Send>, bool) = match sink {
        LogSink::Stderr => (Box::new(io::stderr()), io::stderr().is_terminal()),
        LogSink::File(path) => {
            let file = LogFile::open(path, FILE_MAX);
            (Box::new(file.map_err(|source| TelemetryError::LogFile { path: path.clone(), source })?), false)
        }
    };
    start_writer(out, ansi, QUEUE_LINES)
}

fn start_writer(out: Box<dyn Write + Send>, ansi: bool, queue: usize) -> Result<(QueueWriter, WriterGuard), TelemetryError> {
    let (lines, received) = sync_channel(queue);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    // A thread: writing to a terminal or pipe blocks for as long as the reader likes.
    std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || keep_writing(out, &received, &counted))
        .map_err(|source| TelemetryError::Thread { what: "log writer", source })?;
    Ok((QueueWriter { lines: lines.clone(), lost, ansi }, WriterGuard { lines }))
}

/// Runs until every sender is gone, also through a panic: without it nobody would read another word of this process.
fn keep_writing(mut out: Box<dyn Write + Send>, lines: &Receiver<Line>, lost: &AtomicU64) {
    let write = |out: &mut Box<dyn Write + Send>| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write_lines(out, lines, lost)));
    while write(&mut out).is_err() {
        DEATHS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs until every sender is gone. A sink that refuses bytes (a closed pipe) loses them: there is nobody left to tell.
fn write_lines(out: &mut Box<dyn Write + Send>, lines: &Receiver<Line>, lost: &AtomicU64) {
    // The wait only bounds how late a loss is told when no further line comes.
    const TELL_LOSS_EVERY: Duration = Duration::from_secs(1);
    loop {
        match lines.recv_timeout(TELL_LOSS_EVERY) {
            Ok(Line::Text(text)) => drop(out.write_all(&text)),
            Ok(Line::Flush(done)) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
            Ok(Line::Panic) => panic!("injected panic"),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return drop(out.flush()),
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            ::metrics::counter!("ringfence_log_lines_lost_total").increment(count);
            let _ = writeln!(out, "WARN ringfence::telemetry: log lines lost, the sink was too slow count={count}");
        }
    }
}

impl<'a> MakeWriter<'a> for QueueWriter {
    type Writer = LineBuffer<'a>;

    fn make_writer(&'a self) -> LineBuffer<'a> {
        LineBuffer { queue: self, text: Vec::new() }
    }
}

/// Collects one event's text and queues it whole when dropped.
pub(super) struct LineBuffer<'a> {
    queue: &'a QueueWriter,
    text: Vec<u8>,
}

impl Write for LineBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineBuffer<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.queue.lines.try_send(Line::Text(std::mem::take(&mut self.text))) {
            self.queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Makes a panic a log line like any other. Supervised actors panic and are restarted: their last words belong into the
/// log with their fields, not raw across the live summary.
pub(super) fn log_panics() {
    // Only where it is asked for in full: reading the symbols takes some 80 ms on the thread that panicked, perhaps the
    // trading thread, and some 80 MB that stay.
    let full_backtraces = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "full");
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let location = panic.location().map(ToString::to_string);
        let backtrace = full_backtraces.then(|| Backtrace::force_capture().to_string());
        let said = panic.payload_as_str().unwrap_or("no text");
        ::metrics::counter!("ringfence_panics_total").increment(1);
        tracing::error!(target: "ringfence::supervision", thread = thread.name(), location, said, backtrace, "panicked");
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_changed_filter_holds_for_the_next_line() {
        let sink = Shared::default();
        let (writer, guard) = start_writer(Box::new(sink.clone()), false, 16).unwrap();
        let (filter_layer, filter) = filter("warn").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(LogFormat::Text, writer, filter_layer));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            filter.apply("info").unwrap();
            tracing::info!("after");
            let refused = filter.apply("ringfence=loud").unwrap_err();
            assert!(refused.to_string().contains("expected directives such as"), "{refused}");
            tracing::info!("still there");
        });
        guard.flush(Duration::from_secs(5));
        let text = sink.text();
        assert!(!text.contains("before") && text.contains("after") && text.contains("still there"), "{text}");
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_counts_them_instead_of_blocking() {
        struct Stuck(Receiver<()>, Shared);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                self.1.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, held) = sync_channel(0);
        let sink = Shared::default();
        let (writer, guard) = start_writer(Box::new(Stuck(held, sink.clone())), false, 2).unwrap();
        for number in 0..10 {
            let _ = writeln!(writer.make_writer(), "line {number}");
        }
        drop(release);
        guard.flush(Duration::from_secs(5));
        // The writer tells the loss behind the first line that it got out.
        let text = sink.text();
        assert!(text.contains("line 0") && text.contains("log lines lost"), "{text}");
    }

    #[test]
    fn a_writer_that_panics_is_counted_and_writes_on() {
        let sink = Shared::default();
        let (writer, guard) = start_writer(Box::new(sink.clone()), false, 16).unwrap();
        let before = writer_deaths();
        writer.lines.send(Line::Panic).unwrap();
        let _ = writeln!(writer.make_writer(), "after it");
        guard.flush(Duration::from_secs(5));
        assert!(sink.text().contains("after it") && writer_deaths() > before, "{}", sink.text());
    }

    #[test]
    fn an_empty_filter_is_refused_because_it_would_silence_everything() {
        assert!(LogFilter::validate("").is_err());
        assert!(LogFilter::validate("off").is_ok());
    }
}
