//! Attackers: connections that send one attack again and again, as fast as it is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::hostile::Attack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Attackers' connections at a time.
const CONNECTIONS: usize = 4;
/// Longest wait for an answer, which some attacks never get.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest that one attack is repeated.
const LONGEST: Duration = Duration::from_secs(2);

/// Sends `attack` to `at` so many times, or for 2 s, and returns how often it was sent.
pub(super) async fn repeat(attack: &Attack, at: SocketAddr, times: usize) -> usize {
    let (sent, until) = (Arc::new(AtomicUsize::new(0)), Instant::now() + LONGEST);
    let mut attackers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (attack, sent) = (attack.clone(), sent.clone());
        attackers.spawn(async move {
            while sent.load(Ordering::Relaxed) < times && Instant::now() < until {
                // An attacker whose connection fails comes back with another.
                let _ = on_one_connection(&attack, at, &sent, times).await;
            }
        });
    }
    attackers.join_all().await;
    sent.load(Ordering::Relaxed)
}

async fn on_one_connection(
    attack: &Attack,
    at: SocketAddr,
    sent: &AtomicUsize,
    times: usize,
) -> std::io::Result<()> {
    let mut stream = timeout(PATIENCE, TcpStream::connect(at)).await??;
    stream.set_nodelay(true)?;
    let (whole, mut answer) = ([&attack.head[..], &attack.body].concat(), vec![0; 4096]);
    loop {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        if number >= times {
            return Ok(());
        }
        if attack.aborts {
            stream.write_all(&whole).await?;
            return Ok(());
        }
        let read = if number.is_multiple_of(2) {
            stream.write_all(&whole).await?;
            timeout(PATIENCE, stream.read(&mut answer)).await??
        } else {
            stream.write_all(&attack.head).await?;
            let read = timeout(PATIENCE, stream.read(&mut answer)).await??;
            stream.write_all(&attack.body).await?;
            read
        };
        if read == 0 {
            return Ok(());
        }
    }
}
