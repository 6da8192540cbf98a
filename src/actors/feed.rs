//! A feed: one WebSocket of a venue's market data. It decodes on the trading thread, stamps the frames and puts them into
//! their markets' slots. It keeps no book and waits for nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Surroundings, names};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::mode::FaultClass;
use crate::messages::{FrameSlot, MarketMessage, Post};
use crate::supervision::{ChildContext, ChildFault};
use crate::telemetry::events::{FeedConnected, FeedLost};
use crate::venues::binance::connection;
use crate::venues::binance::market::{Decoded, Decoder};

/// A socket that is silent for so long is dead, whatever its pings say (F12). The quietest of a feed's streams is the mark
/// price, once a second to every three.
const DATA_AGE_MAX: Duration = Duration::from_secs(15);
/// Frames that cannot be read in one connection before it is given up: one is a curiosity, a hundred is another protocol.
const UNDECODABLE_MAX: u32 = 100;

/// What one feed reads.
#[derive(Debug, Clone)]
pub struct FeedSpec {
    /// `ws://127.0.0.1:9443`
    pub base: String,
    pub instruments: Vec<Instrument>,
}

impl FeedSpec {
    fn streams(&self) -> Vec<String> {
        let kinds = ["depth@100ms", "bookTicker", "trade", "markPrice"];
        let names = self.instruments.iter().map(|instrument| instrument.symbol.as_str().to_ascii_lowercase());
        names.flat_map(|symbol| kinds.map(|kind| format!("{symbol}@{kind}"))).collect()
    }
}

struct Reader {
    slot: Arc<FrameSlot>,
    market: Post<MarketMessage>,
}

/// # Errors
/// When the venue cannot be reached, closes the connection, goes silent or speaks something else.
pub async fn read(context: ChildContext, spec: FeedSpec, around: Surroundings) -> Result<(), ChildFault> {
    let lost = |why: String| {
        FeedLost { feed: context.name.as_str(), why: &why }.emit();
        ChildFault::new(FaultClass::Transport, why)
    };
    let began = around.clock.now();
    let mut decoder = Decoder::new(&spec.instruments).map_err(|error| ChildFault::new(FaultClass::Data, error.to_string()))?;
    let mut connection =
        context.reporter.attend(connection::connect(&spec.base, &spec.streams())).await.map_err(|error| lost(error.to_string()))?;
    FeedConnected { feed: context.name.as_str(), took: around.clock.now().since(began) }.emit();
    let mut readers = readers(&spec, &around);
    for reader in readers.values_mut() {
        reader.market.tell(MarketMessage::Reconnected);
    }
    context.reporter.ready();
    let mut undecodable = 0;
    loop {
        let next = tokio::select! {
            next = context.reporter.attend(tokio::time::timeout(DATA_AGE_MAX, connection.next())) => next,
            () = context.stop.cancelled() => return Ok(()),
        };
        let text = match next {
            Ok(Some(Ok(text))) => text,
            Ok(Some(Err(error))) => return Err(lost(error.to_string())),
            Ok(None) => return Err(lost("the connection ended".to_owned())),
            Err(_) => return Err(lost(format!("expected data within {DATA_AGE_MAX:?}, found silence"))),
        };
        match decoder.decode(text.as_bytes(), around.clock.now()) {
            Ok(Decoded::Frame(frame)) => {
                if let Some(reader) = readers.get_mut(&frame.symbol)
                    && reader.slot.push(frame.to_owned())
                {
                    reader.market.tell(MarketMessage::Wake);
                }
            }
            Ok(Decoded::Other(_)) => {}
            Err(error) => {
                undecodable += 1;
                tracing::warn!(target: "ringfence::market", feed = %context.name, %error, "frame not decoded");
                if undecodable > UNDECODABLE_MAX {
                    return Err(lost(format!("expected at most {UNDECODABLE_MAX} unreadable frames, found one more: {error}")));
                }
            }
        }
    }
}

fn readers(spec: &FeedSpec, around: &Surroundings) -> HashMap<Symbol, Reader> {
    let reader = |instrument: &Instrument| {
        let symbol = instrument.symbol;
        let market = Post::new(&around.directory, &names::market(symbol));
        (symbol, Reader { slot: around.wires.frames(symbol), market })
    };
    spec.instruments.iter().map(reader).collect()
}
