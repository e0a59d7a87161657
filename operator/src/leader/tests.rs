//! Whole elections against an API server that is imitated as far as a Lease needs it, in simulated time:
//! requests and answers get lost and late. Pauses of a process are tried on real ones (`tests/e2e`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::BodyExt;
use hyper::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;

/// Fate of a process's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Works,
    LosesRequests,
    LosesAnswers,
    Refuses,
    /// For two seconds.
    Delays,
}

#[derive(Debug, Default)]
struct State {
    lease: Option<Value>,
    versions: u64,
    networks: HashMap<String, Network>,
    /// Processes that have worked, with the time.
    work: Vec<(Instant, String)>,
}

/// The API server.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<State>>);

impl World {
    fn set(&self, process: &str, network: Network) {
        self.0.lock().unwrap().networks.insert(process.to_owned(), network);
    }

    fn client(&self, process: &str) -> Client {
        let (world, process) = (self.clone(), process.to_owned());
        let service = tower::service_fn(move |request| {
            let (world, process) = (world.clone(), process.clone());
            async move { Ok::<_, Infallible>(world.answer(process, request).await) }
        });
        Client::new(service, "operator")
    }

    async fn answer(&self, process: String, request: Request<Body>) -> Response<Body> {
        let network = self.0.lock().unwrap().networks.get(&process).copied().unwrap_or(Network::Works);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        match network {
            Network::LosesRequests => std::future::pending().await,
            Network::Refuses => return failure(StatusCode::INTERNAL_SERVER_ERROR),
            Network::Delays => sleep(Duration::from_secs(2)).await,
            Network::Works | Network::LosesAnswers => {}
        }
        let answer = self.perform(process, &head.method, &body);
        if network == Network::LosesAnswers {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn perform(&self, process: String, method: &Method, body: &[u8]) -> Response<Body> {
        let mut state = self.0.lock().unwrap();
        let newest = state.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, newest) {
            (&Method::PATCH, _) => {
                state.work.push((Instant::now(), process));
                success(&json!({"metadata": {"name": "work"}}))
            }
            (&Method::GET, Some(_)) => success(state.lease.as_ref().unwrap()),
            (&Method::GET | &Method::PUT, None) => failure(StatusCode::NOT_FOUND),
            (&Method::POST, Some(_)) => failure(StatusCode::CONFLICT),
            (_, Some(newest)) if newest != body["metadata"]["resourceVersion"] => {
                failure(StatusCode::CONFLICT)
            }
            _ => {
                state.versions += 1;
                body["metadata"]["resourceVersion"] = state.versions.to_string().into();
                state.lease = Some(body);
                success(state.lease.as_ref().unwrap())
            }
        }
    }

    /// Processes that have worked, in order. Consecutive work counts once.
    fn reigns(&self) -> Vec<String> {
        let mut reigns: Vec<_> = self.0.lock().unwrap().work.iter().map(|(_, who)| who.clone()).collect();
        reigns.dedup();
        reigns
    }

    fn last_work(&self) -> Instant {
        self.0.lock().unwrap().work.last().expect("somebody worked").0
    }
}

fn success(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string().into_bytes()))
}

fn failure(code: StatusCode) -> Response<Body> {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": reason});
    let mut response = success(&status);
    *response.status_mut() = code;
    response
}

/// A process: it stands for election, and works every half second, in a task of its own that nobody ends,
/// as parts of a controller may.
fn start(world: &World, name: &str) -> Process {
    let election = Election::new(
        Leases::new(world.client(name), "operator", "lease"),
        name.to_owned(),
        Arc::new(Metrics::new().unwrap()),
        Arc::new(Health::default()),
    );
    let stop = watch::Sender::new(false);
    let stopped = |mut stop: watch::Receiver<bool>| async move { drop(stop.wait_for(|stop| *stop).await) };
    let (shutdown, end) = (stopped(stop.subscribe()), stopped(stop.subscribe()));
    let task = tokio::spawn(async move {
        let work = |client: Client| async move {
            tokio::spawn(async move {
                let api = Api::<ConfigMap>::default_namespaced(client);
                loop {
                    let patch = Patch::Merge(json!({}));
                    let _ = timeout(LOOK, api.patch("work", &PatchParams::default(), &patch)).await;
                    sleep(Duration::from_millis(500)).await;
                }
            });
            end.await;
        };
        election.lead(shutdown, work).await
    });
    Process { stop, task }
}

struct Process {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), LeaderError>>,
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_told_to_stop_lets_the_next_begin_at_once() {
    let world = World::default();
    let first = start(&world, "first");
    seconds(3).await;
    let _second = start(&world, "second");
    seconds(60).await;
    assert_eq!(world.reigns(), ["first"]);
    first.stop.send_replace(true);
    first.task.await.unwrap().unwrap();
    let stopped = world.last_work();
    seconds(2).await;
    assert_eq!(world.reigns(), ["first", "second"]);
    assert!(stopped.elapsed() < Duration::from_secs(4));
    let lease = world.0.lock().unwrap().lease.clone().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_has_ended_before_the_next_begins() {
    for network in [Network::LosesRequests, Network::LosesAnswers, Network::Refuses] {
        let world = World::default();
        let first = start(&world, "first");
        seconds(3).await;
        let _second = start(&world, "second");
        seconds(8).await;
        let cut = Instant::now();
        world.set("first", network);
        let error = first.task.await.unwrap().unwrap_err();
        let ended = Instant::now();
        assert!(matches!(error, LeaderError::NotRenewed { .. }), "{error}");
        assert!(ended - cut <= HOLD, "{network:?}: it went on for {:?}", ended - cut);
        seconds(3).await;
        assert_eq!(world.reigns(), ["first"], "{network:?}: the next one waits");
        seconds(20).await;
        assert_eq!(world.reigns(), ["first", "second"], "{network:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_deleted_ends() {
    let world = World::default();
    let first = start(&world, "first");
    seconds(3).await;
    world.0.lock().unwrap().lease = None;
    let error = first.task.await.unwrap().unwrap_err();
    assert!(matches!(error, LeaderError::TakenOver { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_lease_by_somebody_else_costs_nobody_the_lead() {
    let world = World::default();
    let _first = start(&world, "first");
    for _ in 0..10 {
        seconds(7).await;
        let mut state = world.0.lock().unwrap();
        state.versions += 1;
        let version = state.versions.to_string();
        state.lease.as_mut().unwrap()["metadata"]["resourceVersion"] = version.into();
    }
    assert!(world.last_work().elapsed() < LOOK);
}

#[test]
fn whatever_the_network_does_nobody_works_after_the_next_has_begun() {
    for seed in 1..=12 {
        // With its own runtime, which ends everything that a seed has started.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(reigns_under_faults(seed));
    }
}

async fn reigns_under_faults(seed: u64) {
    {
        let world = World::default();
        let mut random = seed;
        let mut roll = |below: u64| {
            // Knuth's MMIX: good enough to choose faults, and the same each time.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let name = |slot: usize, life: u32| format!("{slot}-{life}");
        let mut slots: Vec<_> = (0..3).map(|slot| (0, start(&world, &name(slot, 0)))).collect();
        for _ in 0..40 {
            let slot = usize::try_from(roll(3)).unwrap();
            let network = match roll(6) {
                0 => Network::LosesRequests,
                1 => Network::LosesAnswers,
                2 => Network::Refuses,
                3 => Network::Delays,
                _ => Network::Works,
            };
            world.set(&name(slot, slots[slot].0), network);
            sleep(Duration::from_millis(roll(12_000))).await;
            if roll(8) == 0 {
                slots[slot].1.stop.send_replace(true);
            }
            // What has ended is started again, as kubelet does, under a new identity.
            for (slot, (life, process)) in slots.iter_mut().enumerate() {
                if process.task.is_finished() {
                    *life += 1;
                    *process = start(&world, &name(slot, *life));
                }
            }
        }
        for (slot, (life, _)) in slots.iter().enumerate() {
            world.set(&name(slot, *life), Network::Works);
        }
        seconds(40).await;
        let mut reigns = world.reigns();
        assert!(reigns.len() > 1 && world.last_work().elapsed() < LOOK, "seed {seed}: {reigns:?}");
        reigns.sort_unstable();
        let count = reigns.len();
        reigns.dedup();
        assert_eq!(
            count,
            reigns.len(),
            "seed {seed}: somebody worked again after another had: {:?}",
            world.reigns()
        );
    }
}
