use super::*;
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn nothing_is_reused_before_something_was_seen() {
    let mut limits = ReuseLimits::learning();
    assert!(!limits.allow(1));
    assert_eq!(limits.max_idle(), Duration::ZERO);
    limits.saw_open(1, MAX_SETTLE - ms(1));
    assert!(!limits.allow(1), "it has not settled");
    limits.saw_open(1, MAX_SETTLE);
    assert!(limits.allow(1) && !limits.allow(2));
    assert_eq!(limits.max_idle(), ms(250));
}

#[test]
fn each_step_is_proven_by_itself_and_at_last_any_number_is() {
    let mut limits = ReuseLimits::learning();
    for answers in 1..=ANY_ANSWERS {
        assert!(!limits.allow(answers), "{answers}");
        limits.saw_open(answers, MAX_SETTLE);
        assert!(limits.allow(answers), "{answers}");
    }
    assert!(limits.allow(u32::MAX));
}

#[test]
fn early_closes_lower_what_they_contradict() {
    let proven = |answers, idle| ReuseLimits { answers, idle, ..ReuseLimits::learning() };
    for (before, answers, open_for, after) in [
        // After the fifth answer, at once.
        ((9, ms(4000)), 5, ms(0), (4, ms(0))),
        ((ANY_ANSWERS, ms(4000)), 500, ms(50), (ANY_ANSWERS, ms(25))),
        ((900, ms(4000)), 500, ms(50), (499, ms(25))),
        ((ANY_ANSWERS, ms(4000)), 10, ms(50), (9, ms(25))),
        ((0, ms(0)), 1, ms(0), (0, ms(0))),
        // After a long silence: the answers were survived.
        ((9, ms(4000)), 5, ms(2000), (9, ms(1000))),
        ((9, ms(800)), 5, ms(2000), (9, ms(800))),
    ] {
        let mut limits = proven(before.0, before.1);
        limits.saw_early_close(answers, open_for);
        assert_eq!(
            (limits.proven_answers(), limits.proven_idle()),
            after,
            "{before:?} {answers} {open_for:?}"
        );
    }
}

#[test]
fn a_server_that_closes_after_hundreds_of_answers_is_understood_after_the_first_time() {
    let mut limits = ReuseLimits::learning();
    (1..=ANY_ANSWERS).for_each(|answers| limits.saw_open(answers, MAX_SETTLE));
    assert!(limits.allow(500));
    limits.saw_open(499, MAX_SETTLE);
    limits.saw_early_close(500, ms(0));
    limits.saw_open(499, MAX_SETTLE);
    assert!(limits.allow(499) && !limits.allow(500));
}

#[test]
fn proof_takes_less_time_once_there_is_some_and_more_after_an_early_close() {
    let mut limits = ReuseLimits::learning();
    limits.saw_open(1, MAX_SETTLE);
    limits.saw_open(2, MIN_SETTLE);
    assert!(limits.allow(2));
    limits.saw_early_close(1, ms(0));
    limits.saw_open(1, MIN_SETTLE);
    assert!(!limits.allow(1));
}

#[test]
fn trusting_limits_stay_as_they_are() {
    let mut limits = ReuseLimits::trusting();
    limits.saw_early_close(1, ms(0));
    assert!(limits.allow(1_000_000) && !limits.would_rise(1, ms(9999)));
    assert_eq!(limits.max_idle(), Duration::MAX);
}

/// A connection of the simulation. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Conn {
    answers: u32,
    since: u64,
    seen: u64,
    /// Moment at which the server closes.
    closes: u64,
}

/// A server that closes after so many answers, `delay` after the last, and after `idle` of silence.
#[derive(Debug, Clone, Copy)]
struct Server {
    answers: u32,
    delay: u64,
    idle: u64,
}

impl Server {
    fn closes(&self, answers: u32, since: u64) -> u64 {
        since + if answers >= self.answers { self.delay.min(self.idle) } else { self.idle }
    }
}

/// Requests at these times, each answered at once, over a pool that is looked through each `tick`. Returns how many
/// were sent over a connection used before, and the smallest time left before the server would have closed one.
fn simulate(server: Server, requests: &[u64], tick: u64) -> (usize, u64) {
    let (mut limits, mut pool) = (ReuseLimits::learning(), Vec::<Conn>::new());
    let (mut reused, mut left) = (0, u64::MAX);
    let mut next_tick = 0;
    for &now in requests {
        while next_tick < now {
            pool.retain_mut(|conn| {
                if conn.closes <= next_tick {
                    limits.saw_early_close(conn.answers, ms(conn.seen - conn.since));
                    return false;
                }
                conn.seen = next_tick;
                limits.saw_open(conn.answers, ms(next_tick - conn.since));
                true
            });
            next_tick += tick;
        }
        let usable = |conn: &Conn| limits.allow(conn.answers) && ms(now - conn.since) < limits.max_idle();
        let found = pool.iter().rposition(usable).map(|at| pool.remove(at));
        let answers = match found {
            // The caller sees at once that a connection has ended.
            Some(conn) if conn.closes <= now => {
                limits.saw_early_close(conn.answers, ms(conn.seen - conn.since));
                0
            }
            Some(conn) => {
                reused += 1;
                left = left.min(conn.closes - now);
                conn.answers
            }
            None => 0,
        };
        let answers = answers + 1;
        pool.push(Conn { answers, since: now, seen: now, closes: server.closes(answers, now) });
    }
    (reused, left)
}

fn times(gaps: &[u64]) -> Vec<u64> {
    gaps.iter()
        .scan(0, |now, gap| {
            Some({
                *now += gap;
                *now
            })
        })
        .collect()
}

proptest! {
    #[test]
    fn no_reuse_meets_a_server_that_is_about_to_close(
        answers in prop_oneof![1..8_u32, Just(u32::MAX)],
        delay in 0..=200_u64,
        idle in 1..20_000_u64,
        gaps in prop::collection::vec(prop_oneof![0..40_u64, 0..40_u64, 0..1_500_u64, 0..12_000_u64], 1..400),
        tick in 10..=100_u64,
    ) {
        let (_, left) = simulate(Server { answers, delay, idle }, &times(&gaps), tick);
        // Half of the shortest idle time that can be proven.
        prop_assert!(left >= 125, "{left} ms were left");
    }
}

#[test]
fn a_server_that_keeps_its_connections_soon_serves_nearly_all_requests_over_them() {
    let server = Server { answers: u32::MAX, delay: 0, idle: 5_000 };
    let requests = times(&[10; 10_000]);
    let (warm_up, _) = simulate(server, &requests[..2_500], 50);
    let (all, _) = simulate(server, &requests, 50);
    assert!(warm_up > 2_200, "{warm_up} of 2,500");
    assert!(all - warm_up > 7_490, "{} of 7,500", all - warm_up);
}
