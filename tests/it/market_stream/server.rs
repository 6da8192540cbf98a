//! A server of a floor's market alone, as the exchange's own server has it beside everything else.

use std::sync::Arc;
use std::time::Duration;

use ringfence::exchange::stream::{FloorGone, MarketFloor, MarketWire, MarketWireConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Sockets under way when the server is told to stop have this long to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves on `listener` until `stop`, then says goodbye to the clients; with klines of any whole second, as for the daemon.
pub async fn serve(listener: TcpListener, floor: Arc<dyn MarketFloor>, stop: CancellationToken) -> Result<(), FloorGone> {
    let product = floor.instruments().first().unwrap().kind;
    let mut config = MarketWireConfig::of(product);
    config.naming.extended = true;
    let wire = MarketWire::new(floor, config).unwrap();
    let ending = CancellationToken::new();
    let _sockets_end_with_us = (ending.clone().drop_guard(), wire.guard());
    let graceful = axum::serve(listener, wire.router()).with_graceful_shutdown(ending.clone().cancelled_owned());
    let mut graceful = std::pin::pin!(graceful.into_future());
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        served = &mut graceful => panic!("the listener failed: {served:?}"),
        gone = wire.publish() => Err(gone),
    };
    wire.end();
    ending.cancel();
    let all_gone = async {
        let _ = graceful.await;
        wire.drained().await;
    };
    let _ = tokio::time::timeout(DRAIN, all_gone).await;
    ended
}
