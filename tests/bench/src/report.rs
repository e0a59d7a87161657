//! How the results are told: a page with tables and the goals, a plot, and a summary for the terminal.
//!
//! All of it follows from [`Results`] alone, so that it can be written again without measuring.

mod goals;
mod numbers;
mod plot;
mod scale;
mod systems;
mod tables;

use crate::results::Results;

pub(crate) use plot::plot;

/// The page, in Markdown; `plot` is the plot's file beside it.
pub(crate) fn page(results: &Results, plot: &str) -> String {
    let mut page = String::from(
        "# Performance\n\n<!-- Written by `make bench`. Do not edit: the next run replaces it. -->\n\n",
    );
    if results.preliminary {
        page.push_str(
            "**Preliminary: made to try the instrument, with short rounds or while the machine did other things. Nothing\n\
             below is good for a conclusion.**\n\n",
        );
    }
    page.push_str(&format!(
        "What the sidecar costs, beside nginx, HAProxy and Envoy in the same role: one worker, connections to the\n\
         application kept, no access log. {}, on {};\n\
         load average {} when it began, the build before it included.\n\
         {} rounds, in each of which all were measured in turn, {} times for {} s. Numbers are medians of the rounds\n\
         (least–greatest); ratios are of the same round.\n\n",
        results.date, results.machine, results.load_average, results.rounds, results.turns, results.counted
    ));
    page.push_str("| program | version | from |\n| --- | --- | --- |\n");
    for (program, version, from) in &results.programs {
        page.push_str(&format!("| {program} | {version} | {from} |\n"));
    }
    page.push('\n');
    page.push_str(TERMS);
    page.push_str("\n## Goals\n\n");
    page.push_str(&goals::table(results));
    page.push_str(&format!("\n![CPU time per answer of each proxy]({plot})\n"));
    let own = [
        ("Whole systems", systems::text(results), systems::table(results)),
        ("The number of pods", scale::text(), scale::table(results)),
    ];
    for (title, text, table) in tables::all(results).into_iter().chain(own) {
        if !table.is_empty() {
            page.push_str(&format!("\n## {title}\n\n{text}\n\n{table}"));
        }
    }
    if !results.missing.is_empty() {
        page.push_str("\n## Not measured\n\n");
        for missing in &results.missing {
            page.push_str(&format!("- {}\n", missing.replace('\n', " ")));
        }
    }
    page.push_str(METHOD);
    page
}

/// What fits on a terminal: the goals.
pub(crate) fn summary(results: &Results) -> String {
    goals::summary(results)
}

const TERMS: &str = "\
- A *local hit* is a request whose session is in the sidecar's own pod: two hops, from the client to the sidecar and on to
  the application. Behind an edge with session affinity every request is a local hit. Without affinity, with N pods, one
  request in N is a local hit.
- A *forwarded hit* came to another pod. It crosses two sidecars, with mutual TLS between them; here they share the one core.
- *Observe* and *Off* are modes of the sidecar in which it forwards nothing.
";

const METHOD: &str = "
## How it is measured

- The proxy has one core alone; the clients and the application share another, in one thread and one loop. Everything
  is on loopback addresses. The configurations of the peers are in `tests/bench/peers`, with the reasons.
- In each round everything is started afresh and measured in turn, forwards and backwards, beginning with another one
  each time. A round's number is of all its turns together. They are short, so that a machine that gets slower for some
  seconds gets slower for all.
- Sidecars get real requests for about 25 s after each start before anything counts. Until then they use a connection to
  the application again only as far as the application was seen to keep it. At rest is before that.
- A goal is this project's own, and met where the median is. The median of the rounds' ratios is not the ratio of two
  medians, since a round is slow or fast for all: compare within it.
- The clients never sleep while they measure, so that no proxy pays for waking them, which it would do as often as
  chance has it. What all have to pay alike, the kernel's part, is less then, and ratios are a little further from 1.
- CPU time is the scheduler's accounting of the proxy's processes, the kernel's work for them included. It is the figure
  that holds on a busy machine.
- A capacity counts only where the proxy itself used at least 90 % of its core.
- Latency is measured at a fixed rate, for all the same: half of what a core bears with HAProxy (or else nginx, or the
  sidecar), by the CPU time of its busy requests in a short run before the first round. A proxy that uses at least
  90 % of its core at that rate is *overloaded*: requests queue, so its latency is not shown. Latency counts from when a
  request was due, not from when it could be sent. *Added* is the difference to no proxy in the same round.
- The clients of the sidecar have sids with tags, those of the other proxies the application's own.
- Whole systems: servers and clients are programs for Node, the servers and sidecars on one core, the clients on the
  other. Each is started afresh in each round and used until Node has compiled what it does often. The clients' own HTTP
  agent stands in for the edge and picks the pod of each request, so that no proxy's time is in any of them. A message
  counts from when it was sent, and each is sent when it is due, whatever became of those before. A WebSocket is one that
  a client has upgraded to from polling, as most do; a connect over WebSocket is without polling.
- The number of pods: the sidecar that is looked at has one core alone, all others share that of the load. One request at
  a time finds caches cold and the core asleep, so its CPU time is a multiple of that of many at once.
- What a proxy has at rest follows its configuration: nginx and HAProxy make room for as many connections as are tried here.
- `tests/bench/src` says the rest, module by module.
";
