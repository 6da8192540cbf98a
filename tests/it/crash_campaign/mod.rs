//! The crash campaign: the real daemon with its real journal, trading with four accounts at an exchange in a process of its own, is
//! killed with `kill -9` again and again, at moments that a seed draws and at every named boundary of its I/O, or has its disk fail,
//! and is started again. After each death both records are held
//! side by side, and again when the next daemon has reconciled: no order and no trade may be lost, doubled, or have been sent
//! without its intent in the journal.
//!
//! The short one runs with every `cargo test`. The long one is the same with another number:
//! `RINGFENCE_CRASH_KILLS=1000 RINGFENCE_SEED=7 cargo test --release --test it crash_campaign -- --nocapture`.

mod books;
mod deaths;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use books::Books;
use deaths::{Death, Deaths, Life};

use serde_json::json;

use crate::support::daemon::{Daemon, READY_WITHIN, request};
use crate::support::io_faults::When;
use crate::support::stage::Stage;

/// What every run of all tests can afford: some two seconds a kill; every boundary is among them.
const KILLS: u32 = 50;
/// An order that may never have left is known to be none when its request cannot arrive any more, and after two questions.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// The strategies decide on bars of a second.
const ORDER_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A boundary that is not reached by then is not on this life's way; it is killed where it stands.
const BOUNDARY_WITHIN: Duration = Duration::from_secs(8);
/// A file of the journal for some seconds of trading, so that checkpoints and new files are among what is killed.
const SMALL_FILES: &str = "[journal]\ncheckpoint_every = 300\nrows_per_file = 600\n";
/// The whole chain is walked so often, and at the end.
const VERIFY_EVERY: u32 = 50;

fn number(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|error| panic!("{name} expected a whole number, found {text:?}: {error}"))
}

struct Campaign {
    seed: u64,
    stage: Stage,
    books: Books,
    kills: BTreeMap<&'static str, u32>,
    /// Boundaries that it was killed at, and those that were not reached in time.
    reached: BTreeMap<&'static str, u32>,
    missed: BTreeMap<&'static str, u32>,
    /// From a start to books that are the exchange's.
    settled_in: Vec<Duration>,
    life: u32,
}

impl Campaign {
    fn open(seed: u64) -> Self {
        let stage = Stage::open(seed);
        let books = Books::new(&stage);
        Self {
            seed,
            stage,
            books,
            kills: BTreeMap::new(),
            reached: BTreeMap::new(),
            missed: BTreeMap::new(),
            settled_in: Vec::new(),
            life: 0,
        }
    }

    /// One life, from its start to its death and the look at what it left behind.
    fn live(&mut self, life: Life) {
        self.life += 1;
        self.stage.forget_log();
        self.stage.home.io_faults().heal();
        self.stage.configure_with(!life.looked_at, life.keep, SMALL_FILES);
        if let Death::Starting(after) = life.death {
            let daemon = self.stage.home.launch();
            std::thread::sleep(after);
            daemon.kill();
        } else {
            let mut daemon = self.ready(life);
            self.until_death(&mut daemon, life.death);
            daemon.end();
        }
        *self.kills.entry(life.death.name()).or_default() += 1;
        self.books.read();
        let found = self.books.never();
        self.must_be_none(&found, &format!("after {life:?}"));
        if self.life.is_multiple_of(VERIFY_EVERY) {
            self.verify();
        }
    }

    /// A daemon that is ready and trades, or is about to.
    fn ready(&mut self, life: Life) -> Daemon {
        let began = Instant::now();
        let mut daemon = self.stage.home.launch();
        daemon.wait_until("is ready", READY_WITHIN, Daemon::is_ready);
        if life.looked_at {
            self.settles(&mut daemon, true);
            self.settled_in.push(began.elapsed());
            self.stage.configure_with(true, life.keep, SMALL_FILES);
            daemon.signal(libc::SIGHUP);
        }
        // What its predecessor halted before it died is a person's to lift.
        if daemon.status()["mode"] == "Halted" {
            let body = json!({ "scope": "global", "by": "ann", "reason": "looked at it" });
            daemon.wait_until("may be resumed", SETTLED_WITHIN, |daemon| daemon.post("/admin/resume", &body).0 == 200);
        }
        daemon
    }

    fn until_death(&mut self, daemon: &mut Daemon, death: Death) {
        match death {
            Death::Starting(_) => {}
            Death::Ready(after) | Death::Trading(after) => std::thread::sleep(after),
            Death::AtAnOrder { orders, after } => {
                let (stage, mut sent) = (&mut self.stage, 0);
                daemon.wait_until("sends orders", ORDER_WITHIN, |_| {
                    sent += stage.orders_sent();
                    sent >= orders
                });
                std::thread::sleep(after);
            }
            Death::AtBoundary { boundary, nth, when } => self.at_boundary(daemon, boundary, nth, when),
            Death::Disk { boundary, refusal } => {
                refusal.arm(self.stage.home.io_faults(), boundary);
                if !daemon.ends_within(BOUNDARY_WITHIN) {
                    *self.missed.entry(boundary).or_default() += 1;
                }
            }
            Death::Stopping(after) => {
                let stage = &mut self.stage;
                daemon.wait_until("sends an order", ORDER_WITHIN, |_| stage.orders_sent() > 0);
                daemon.signal(libc::SIGTERM);
                std::thread::sleep(after);
            }
        }
    }

    /// Some are reached by trading alone, some by a halt, some by a journal that has failed.
    fn at_boundary(&mut self, daemon: &mut Daemon, boundary: &'static str, nth: u64, when: When) {
        let faults = self.stage.home.io_faults();
        let rare = !(boundary.starts_with("journal") || boundary.starts_with("order") || boundary == "ack");
        faults.kill_at(boundary, if rare { 1 } else { nth }, when);
        if boundary.starts_with("emergency") {
            faults.fail_at("journal.sync", 1, libc::EIO);
        }
        if boundary.starts_with("latch") || boundary == "cancel.send" {
            let halt = json!({ "scope": "global", "by": "ann", "reason": "drill" });
            // It may die before it answers.
            let _ = request(daemon.address(), "POST", "/admin/halt", &daemon.token(), Some(&halt));
        }
        let counted = if daemon.ends_within(BOUNDARY_WITHIN) { &mut self.reached } else { &mut self.missed };
        *counted.entry(boundary).or_default() += 1;
    }

    /// Waits until nothing differs any more.
    fn settles(&mut self, daemon: &mut Daemon, patient: bool) {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            self.books.read();
            let mut found = self.books.never();
            self.must_be_none(&found, "while it reconciled");
            found.extend(self.books.settled(patient));
            found.extend(self.books.shown(&daemon.status()));
            if found.is_empty() {
                return;
            }
            if Instant::now() >= deadline {
                self.must_be_none(&found, &format!("{SETTLED_WITHIN:?} after the start"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The last daemon: everything is told for good, and it stops in order.
    fn end(&mut self) {
        self.stage.forget_log();
        self.stage.home.io_faults().heal();
        self.stage.configure_with(false, false, SMALL_FILES);
        let mut daemon = self.stage.home.start();
        self.settles(&mut daemon, false);
        assert_eq!(daemon.terminate().code(), Some(0), "{}", self.stage.home.log());
        self.books.read();
        let found: Vec<String> = self.books.never().into_iter().chain(self.books.settled(false)).collect();
        self.must_be_none(&found, "after the ordered stop");
        self.verify();
        let epochs = self.books.epochs();
        assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "every start has an epoch of its own: {epochs:?}");
    }

    fn verify(&self) {
        let verified = self.stage.home.command(&["audit", "verify", "--json"]);
        let intact = verified.code == 0 && verified.json()["outcome"] == "intact";
        self.must_be_none(&if intact { Vec::new() } else { vec![format!("the chain: {verified:?}")] }, "in the journal");
    }

    /// Keeps everything that a person needs to look into it.
    fn must_be_none(&self, found: &[String], when: &str) {
        if found.is_empty() {
            return;
        }
        let kept = std::env::temp_dir().join(format!("ringfence-crash-{}-{}", self.seed, self.life));
        let copied = std::process::Command::new("cp").arg("-r").arg(self.stage.home.path()).arg(&kept).status();
        let shown: Vec<&String> = found.iter().take(20).collect();
        let log = self.stage.home.log();
        panic!(
            "seed {}, life {}, {when}: {} findings, the first of them {shown:#?}\nkept in {} ({copied:?})\n{log}",
            self.seed,
            self.life,
            found.len(),
            kept.display(),
        );
    }

    fn report(&mut self, took: Duration) -> String {
        let counts = self.books.counts();
        let kills: u32 = self.kills.values().sum();
        self.settled_in.sort_unstable();
        let quantile = |per_cent: usize| self.settled_in.get(self.settled_in.len() * per_cent / 100).copied().unwrap_or_default();
        format!(
            "crash campaign, seed {}: {kills} ends in {took:.0?} {:?}\nboundaries reached {:?}, missed {:?}\n{} orders intended, {} at the exchange, {} trades, {} journal rows\n\
             reconciled in {:.0?} (median), {:.0?} (99 %), {:.0?} (longest)\n0 lost, 0 doubled, 0 unapproved; the chain is intact\n",
            self.seed,
            self.kills,
            self.reached,
            self.missed,
            counts.orders,
            counts.at_venue,
            counts.trades,
            counts.rows,
            quantile(50),
            quantile(99),
            self.settled_in.last().copied().unwrap_or_default(),
        )
    }
}

#[test]
fn killed_at_any_moment_it_loses_doubles_and_invents_nothing() {
    let seed = number("RINGFENCE_SEED", 1);
    let kills = u32::try_from(number("RINGFENCE_CRASH_KILLS", u64::from(KILLS))).unwrap();
    let (began, mut deaths, mut campaign) = (Instant::now(), Deaths::new(seed), Campaign::open(seed));
    for _ in 0..kills {
        let life = deaths.next_life();
        println!("{:>6.1?} life {} ends {life:?}", began.elapsed(), campaign.life + 1);
        campaign.live(life);
    }
    campaign.end();
    print!("{}", campaign.report(began.elapsed()));
    let counts = campaign.books.counts();
    assert!(counts.trades > kills as usize / 2, "expected a campaign that trades, found {counts:?}");
}
