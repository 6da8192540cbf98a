//! The live summary on a terminal: one screen drawn twice a second from the same `StatusView` that the API shows. It
//! reads and changes nothing; its one key asks for an orderly stop. Without a terminal there are plain logs instead.
//!
//! A panic elsewhere is no reason to leave: supervised actors panic and are restarted. The terminal is put back when this
//! thread ends, however it ends, and by `restore` on the way to a hard exit.

#![allow(clippy::disallowed_methods, reason = "a screen is redrawn in wall time")]

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use crate::api::StatusView;
use crate::api::view::{AccountStatus, ChildStatus, PublicEvent, SymbolStatus};
use crate::domain::mode::Mode;
use crate::domain::money::Money;

/// Twice a second: quick enough to watch, and nothing to measure on one core.
const REDRAW_EVERY: Duration = Duration::from_millis(500);
/// How late a key or a stop may be seen.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time to draw and put the terminal back, many times over.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Whether stdout can show the summary.
#[must_use]
pub fn is_possible() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The running summary. Stopping or dropping it puts the terminal back.
#[derive(Debug)]
pub struct Screen {
    stop: Arc<AtomicBool>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Screen {
    /// Takes the terminal over. `quit` is called on every `q` and Ctrl-C, which a terminal in this state does not turn into
    /// a signal: the first asks for an orderly stop, the second for an immediate one, as with the signal.
    ///
    /// # Errors
    /// When the terminal cannot be set up; it is as before then.
    pub fn start(url: String, status: impl Fn() -> StatusView + Send + 'static, quit: impl Fn() + Send + 'static) -> io::Result<Self> {
        let terminal = enter().inspect_err(|_| restore())?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (ends, ended) = sync_channel(0);
        // A thread of its own: drawing blocks for as long as the terminal likes.
        std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || {
                let _ends: SyncSender<()> = ends;
                show(terminal, &url, &status, &quit, &told);
            })
            .inspect_err(|_| restore())?;
        Ok(Self { stop, ended })
    }

    pub fn stop(self) {}
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Not longer: a terminal that was stopped with Ctrl-S would hold up the daemon's exit.
        let _ = self.ended.recv_timeout(LEAVE_WITHIN);
    }
}

fn enter() -> io::Result<DefaultTerminal> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
    ratatui::Terminal::new(ratatui::backend::CrosstermBackend::new(io::stdout()))
}

/// Puts the terminal back. Harmless when it is already; for a hard exit that runs no destructors.
pub fn restore() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

fn show(mut terminal: DefaultTerminal, url: &str, status: &dyn Fn() -> StatusView, quit: &dyn Fn(), stop: &AtomicBool) {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            restore();
        }
    }
    let _restore = Restore;
    let mut quits = 0;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if Instant::now() >= due {
            let view = status();
            // A terminal that is gone (a closed window) ends the summary, not the daemon.
            if terminal.draw(|frame| draw(frame, &view, url, quits)).is_err() {
                return;
            }
            due = Instant::now() + REDRAW_EVERY;
        }
        match next_key() {
            Ok(Some(key)) if asks_to_quit(&key) => {
                quits += 1;
                quit();
                due = Instant::now();
            }
            Ok(Some(_)) => due = Instant::now(),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// The next key, or any other event as `F(0)` so that a resize is drawn at once; `None` when nothing came. An error when the
/// terminal is gone: crossterm would read the end of its input again and again, for ever.
fn next_key() -> io::Result<Option<KeyEvent>> {
    if !typed(LOOK_EVERY)? || !event::poll(Duration::ZERO)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => Some(key),
        Event::Resize(..) => Some(KeyEvent::from(KeyCode::F(0))),
        _ => None,
    })
}

/// Waits for input on the terminal.
fn typed(within: Duration) -> io::Result<bool> {
    let mut input = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    let within = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one descriptor, as counted, that lives across the call.
    let ready = unsafe { libc::poll(&raw mut input, 1, within) };
    if input.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    // A signal that interrupts the wait (a resize) is no input: the next drawing sees the new size.
    Ok(ready > 0)
}

fn asks_to_quit(key: &KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    control_c || key.code == KeyCode::Char('q')
}

/// Draws one screen. Pure: the same view gives the same picture.
pub fn draw(frame: &mut Frame<'_>, view: &StatusView, url: &str, quits: u32) {
    let accounts = table_height(view.accounts.len(), frame.area().height / 3);
    let middle = table_height(view.symbols.len().max(view.children.len()), frame.area().height / 2);
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(accounts),
        Constraint::Length(middle),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .split(frame.area());
    let halves = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).split(rows[2]);
    draw_header(frame, rows[0], view);
    draw_accounts(frame, rows[1], &view.accounts);
    draw_symbols(frame, halves[0], &view.symbols);
    draw_children(frame, halves[1], &view.children);
    draw_events(frame, rows[3], &view.events);
    draw_footer(frame, rows[4], url, quits);
}

/// Frame, head and the rows; at most `most`, so that one long table leaves room for the others.
fn table_height(rows: usize, most: u16) -> u16 {
    u16::try_from(rows + 3).unwrap_or(u16::MAX).clamp(4, most.max(4))
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, view: &StatusView) {
    let mut parts = vec![
        Span::styled(" ringfence ", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("{}  ", view.build.version)),
        Span::styled(view.mode.to_string(), mode_style(view.mode).add_modifier(Modifier::BOLD)),
        Span::raw(format!(
            "  {}  up {}  epoch {}",
            if view.ready { "ready" } else { "not ready" },
            duration(view.uptime_seconds),
            view.epoch.0
        )),
    ];
    if view.kill_switch.tripped {
        let cause = view.kill_switch.cause.as_deref().unwrap_or("no cause given");
        parts.push(Span::styled(format!("  kill switch: {cause}"), bad()));
    }
    frame.render_widget(Line::from(parts), area);
}

/// A column's head, width and side.
struct Column(&'static str, Constraint, Alignment);

fn draw_accounts(frame: &mut Frame<'_>, area: Rect, accounts: &[AccountStatus]) {
    const COLUMNS: [Column; 8] = [
        Column("account", Constraint::Length(12), Alignment::Left),
        Column("mode", Constraint::Length(10), Alignment::Left),
        Column("equity", Constraint::Length(14), Alignment::Right),
        Column("day P&L", Constraint::Length(12), Alignment::Right),
        Column("orders", Constraint::Length(7), Alignment::Right),
        Column("open", Constraint::Length(5), Alignment::Right),
        Column("fills", Constraint::Length(7), Alignment::Right),
        Column("positions", Constraint::Fill(1), Alignment::Left),
    ];
    draw_table(frame, area, "accounts", &COLUMNS, accounts.iter().map(account_row));
}

fn account_row(account: &AccountStatus) -> Row<'_> {
    Row::new([
        Line::from(account.name.to_string()),
        Line::styled(account.mode.to_string(), mode_style(account.mode)),
        right(cents(account.equity)),
        account.day_pnl.map_or_else(|| right("–").style(dim()), |amount| right(cents(amount)).style(sign_style(amount))),
        right(account.orders),
        right(account.open_orders),
        right(account.fills),
        Line::from(positions(account)),
    ])
}

fn draw_symbols(frame: &mut Frame<'_>, area: Rect, symbols: &[SymbolStatus]) {
    const COLUMNS: [Column; 4] = [
        Column("symbol", Constraint::Length(12), Alignment::Left),
        Column("mode", Constraint::Length(10), Alignment::Left),
        Column("last", Constraint::Length(14), Alignment::Right),
        Column("age", Constraint::Fill(1), Alignment::Right),
    ];
    draw_table(frame, area, "symbols", &COLUMNS, symbols.iter().map(symbol_row));
}

fn symbol_row(symbol: &SymbolStatus) -> Row<'_> {
    Row::new([
        Line::from(symbol.name.to_string()),
        Line::styled(symbol.mode.to_string(), mode_style(symbol.mode)),
        right(symbol.last.map_or_else(|| "–".to_owned(), |price| price.to_string())),
        right(age(symbol)).style(if symbol.stale { bad() } else { dim() }),
    ])
}

fn draw_children(frame: &mut Frame<'_>, area: Rect, children: &[ChildStatus]) {
    const COLUMNS: [Column; 4] = [
        Column("child", Constraint::Fill(1), Alignment::Left),
        Column("state", Constraint::Length(12), Alignment::Left),
        Column("restarts", Constraint::Length(9), Alignment::Right),
        Column("mailbox", Constraint::Length(8), Alignment::Right),
    ];
    draw_table(frame, area, "children", &COLUMNS, children.iter().map(child_row));
}

fn child_row(child: &ChildStatus) -> Row<'_> {
    Row::new([
        Line::from(child.name.as_str()),
        Line::styled(child.state.as_str(), if child.state == "ready" { good() } else { warn() }),
        right(child.restarts).style(if child.restarts > 0 { warn() } else { dim() }),
        right(child.mailbox),
    ])
}

/// One framed table; what does not fit is counted in its title.
fn draw_table<'a>(frame: &mut Frame<'_>, area: Rect, title: &str, columns: &[Column], rows: impl ExactSizeIterator<Item = Row<'a>>) {
    let room = usize::from(area.height.saturating_sub(3));
    let hidden = rows.len().saturating_sub(room);
    let title = if hidden > 0 { format!(" {title}, {hidden} more ") } else { format!(" {title} ") };
    let head = columns.iter().map(|Column(text, _, side)| Line::from(*text).alignment(*side));
    let table = Table::new(rows.take(room), columns.iter().map(|Column(_, width, _)| *width))
        .header(Row::new(head).style(dim()))
        .block(Block::new().borders(Borders::ALL).border_style(dim()).title(title));
    frame.render_widget(table, area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, events: &[PublicEvent]) {
    let room = usize::from(area.height.saturating_sub(2));
    let newest = &events[events.len().saturating_sub(room)..];
    let lines: Vec<Line<'_>> = newest
        .iter()
        .map(|event| {
            let at = event.at.to_string();
            let clock = at.get(11..19).unwrap_or(&at).to_owned();
            Line::from(vec![Span::styled(format!("{clock} {:<12}", event.kind.name()), dim()), Span::raw(event.text.as_str())])
        })
        .collect();
    let block = Block::new().borders(Borders::ALL).border_style(dim()).title(" last events ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_footer(frame: &mut Frame<'_>, area: Rect, url: &str, quits: u32) {
    let text = match quits {
        0 => format!(" {url}   q or Ctrl-C: stop in order"),
        _ => " stopping in order   q or Ctrl-C again: stop at once".to_owned(),
    };
    frame.render_widget(Line::styled(text, if quits == 0 { dim() } else { warn() }), area);
}

fn right(value: impl ToString) -> Line<'static> {
    Line::from(value.to_string()).alignment(Alignment::Right)
}

/// For the eye; the exact amount is in `/status`.
fn cents(amount: Money) -> String {
    format!("{:.2}", amount.0.round_dp(2))
}

fn positions(account: &AccountStatus) -> String {
    let open: Vec<String> = account
        .positions
        .iter()
        .filter(|position| !position.quantity.is_zero())
        .map(|position| format!("{} {}", position.symbol, position.quantity))
        .collect();
    if open.is_empty() { "flat".to_owned() } else { open.join(", ") }
}

fn age(symbol: &SymbolStatus) -> String {
    match symbol.age_ms {
        None => "never".to_owned(),
        Some(ms) if ms < 1_000 => format!("{ms} ms"),
        Some(ms) => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn mode_style(mode: Mode) -> Style {
    match mode {
        Mode::Normal => good(),
        Mode::ReduceOnly | Mode::CancelOnly => warn(),
        Mode::Halted => bad(),
    }
}

fn sign_style(amount: Money) -> Style {
    match () {
        () if amount.is_negative() => bad(),
        () if amount.is_positive() => good(),
        () => dim(),
    }
}

fn good() -> Style {
    Style::new().fg(Color::Green)
}

fn warn() -> Style {
    Style::new().fg(Color::Yellow)
}

fn bad() -> Style {
    Style::new().fg(Color::Red)
}

fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::api::view::{BuildView, EventKind, KillSwitchView};
    use crate::domain::ids::{AccountId, Epoch, Incarnation, Symbol};
    use crate::domain::order::{PositionSide, PositionView};
    use crate::domain::time::Timestamp;

    fn account(name: &str, mode: Mode, equity: &str, day_pnl: &str, quantity: &str) -> AccountStatus {
        let position = PositionView {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            position_side: PositionSide::Both,
            quantity: quantity.parse().unwrap(),
            entry_price: "61800.1".parse().unwrap(),
            unrealized: Money::ZERO,
        };
        AccountStatus {
            name: AccountId::new(name).unwrap(),
            mode,
            orders: 1_204,
            fills: 988,
            open_orders: 2,
            wallet: equity.parse().unwrap(),
            equity: equity.parse().unwrap(),
            day_pnl: Some(day_pnl.parse().unwrap()),
            positions: vec![position],
        }
    }

    fn symbol(name: &str, last: Option<&str>, age_ms: Option<u64>, stale: bool) -> SymbolStatus {
        let last = last.map(|text| text.parse().unwrap());
        SymbolStatus { name: Symbol::new(name).unwrap(), mode: Mode::Normal, bid: last, ask: last, last, age_ms, stale, frames: 10 }
    }

    fn child(name: &str, restarts: u64, state: &str) -> ChildStatus {
        ChildStatus { name: name.to_owned(), incarnation: Incarnation(restarts + 1), restarts, state: state.to_owned(), mailbox: 0 }
    }

    fn view() -> StatusView {
        let at = |seconds: i64| Timestamp::from_millis(1_723_110_000_000 + seconds * 1_000);
        let event = |id, kind, text: &str| PublicEvent { id, at: at(id as i64), kind, text: text.to_owned() };
        StatusView {
            mode: Mode::Normal,
            ready: true,
            at: at(0),
            uptime_seconds: 3_725,
            epoch: Epoch(3),
            build: BuildView { version: "0.1.0".to_owned(), config_hash: "abc".to_owned() },
            kill_switch: KillSwitchView::default(),
            accounts: vec![
                account("alpha", Mode::Normal, "10012.3456", "12.3456", "0.015"),
                account("beta", Mode::ReduceOnly, "9990.1", "-9.9", "-0.2"),
                account("gamma", Mode::Halted, "10000", "0", "0"),
            ],
            strategies: Vec::new(),
            symbols: vec![
                symbol("BTCUSDT", Some("61800.1"), Some(12), false),
                symbol("ETHUSDT", Some("2650.55"), Some(4_250), true),
                symbol("SOLUSDT", None, None, true),
            ],
            children: vec![child("risk_manager", 0, "ready"), child("executor/alpha", 2, "backing_off")],
            restrictions: Vec::new(),
            events: vec![
                event(1, EventKind::Fill, "alpha buy 0.015 BTCUSDT at 61800.1"),
                event(2, EventKind::Supervision, "executor/alpha restarted after a panic"),
            ],
            alerts: Vec::new(),
        }
    }

    fn picture(view: &StatusView, quits: u32) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 24)).unwrap();
        terminal.draw(|frame| draw(frame, view, "http://127.0.0.1:8080", quits)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn one_screen_tells_how_every_account_and_child_stands() {
        insta::assert_snapshot!(picture(&view(), 0));
    }

    #[test]
    fn a_halt_and_a_stop_under_way_are_plain_to_see() {
        let mut view = view();
        view.mode = Mode::Halted;
        view.ready = false;
        view.kill_switch = KillSwitchView { tripped: true, cause: Some("daily_loss".to_owned()), ..KillSwitchView::default() };
        insta::assert_snapshot!(picture(&view, 1));
    }

    #[test]
    fn a_days_figure_that_is_not_known_is_a_dash_and_no_zero() {
        let mut view = view();
        view.accounts.truncate(1);
        view.accounts[0].day_pnl = None;
        let picture = picture(&view, 0);
        let alpha = picture.lines().find(|line| line.contains("alpha")).unwrap();
        assert!(alpha.contains(" – ") && !alpha.contains("0.00 "), "{picture}");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_a_tiny_terminal_does_no_harm() {
        let mut view = view();
        view.children = (0..100).map(|number| child(&format!("market/{number}"), 0, "ready")).collect();
        assert!(picture(&view, 0).contains("children, 91 more"), "{}", picture(&view, 0));
        for (width, height) in [(1, 1), (10, 3), (20, 5)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &view, "", 0)).unwrap();
        }
    }
}
