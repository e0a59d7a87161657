//! Tables, and a world in which the operator crashes at every write.

use proptest::prelude::*;

use super::*;
use crate::controller::fixtures::cluster;
use crate::crd::v1alpha1::{Mode, SocketIoClusterSpec};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn seen(step: Option<Step>) -> Situation {
    Situation {
        recorded: step.map(|step| (step, at(0))),
        deleting: false,
        routed: false,
        endpoints_agree: true,
        ready: 3,
        without_sidecar: Vec::new(),
        unready: None,
        injected: 3,
        contested: false,
        rolled_out: true,
        left_in_template: false,
        lagging: Vec::new(),
        drain: Drain { deadline_seconds: 60, window_seconds: 30 },
        now: at(0),
    }
}

fn spec(mode: Mode) -> SocketIoClusterSpec {
    let spec = cluster().spec.clone();
    SocketIoClusterSpec { mode, drain: seen(None).drain, ..spec }
}

fn pods(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("chat-{n}")).collect()
}

#[test]
fn each_step_waits_for_what_it_needs() {
    use Step::*;
    type Change = fn(&mut Situation);
    let table: &[(Option<Step>, Change, Step)] = &[
        (None, |_| {}, Settling),
        (None, |s| s.ready = 0, Injecting),
        (Some(Injecting), |s| s.without_sidecar = pods(1), Injecting),
        (Some(Injecting), |_| {}, Settling),
        (Some(Injecting), |s| s.rolled_out = false, Injecting),
        // What a backup brought back of a deletion is none.
        (Some(Draining), |_| {}, Settling),
        (Some(Settling), |s| s.now = at(14), Settling),
        (Some(Settling), |s| (s.now, s.endpoints_agree) = (at(99), false), Settling),
        (Some(Settling), |s| s.now = at(15), Programmed),
        (Some(Programmed), |s| s.lagging = pods(2), Programmed),
        // A pod without a sidecar gets no traffic, so nothing goes back; unless it is all of them.
        (Some(Programmed), |s| s.without_sidecar = pods(3), Injecting),
        (Some(Programmed), |s| s.without_sidecar = pods(2), Programmed),
        (Some(Programmed), |s| s.deleting = true, Untagging),
        // Tags may have been given out just before the record.
        (Some(Settling), |s| s.deleting = true, Untagging),
        (Some(Injecting), |s| s.deleting = true, RoutingBack),
        (Some(Injecting), |s| (s.deleting, s.routed) = (true, true), Untagging),
        (Some(Untagging), |s| (s.deleting, s.lagging) = (true, pods(1)), Untagging),
        (Some(Untagging), |s| s.deleting = true, Draining),
        (Some(Draining), |s| (s.deleting, s.now) = (true, at(59)), Draining),
        (Some(Draining), |s| (s.deleting, s.now) = (true, at(60)), Closing),
        (Some(Closing), |s| (s.deleting, s.lagging) = (true, pods(1)), Closing),
        (Some(Closing), |s| s.deleting = true, Emptying),
        (Some(Emptying), |s| (s.deleting, s.now) = (true, at(29)), Emptying),
        (Some(Emptying), |s| (s.deleting, s.now) = (true, at(30)), RoutingBack),
        (Some(RoutingBack), |s| (s.deleting, s.now) = (true, at(14)), RoutingBack),
        (Some(RoutingBack), |s| (s.deleting, s.now) = (true, at(15)), Uninjecting),
        (Some(Untagging), |s| (s.deleting, s.injected) = (true, 0), RoutingBack),
        // Pods that never follow do not keep an object for ever.
        (Some(Untagging), |s| (s.deleting, s.lagging, s.now) = (true, pods(1), at(600)), Draining),
    ];
    for (number, (step, change, expected)) in table.iter().enumerate() {
        let mut situation = seen(*step);
        change(&mut situation);
        assert_eq!(decide(&situation).step, *expected, "line {number}: {situation:?}");
    }
}

#[test]
fn an_object_is_released_when_no_pod_has_the_sidecar_any_more_or_patience_ends() {
    let mut situation = Situation { deleting: true, ..seen(Some(Step::Uninjecting)) };
    assert!(!decide(&situation).release);
    situation.injected = 0;
    assert!(decide(&situation).release);
    situation.injected = 1;
    situation.now = at(600);
    assert!(decide(&situation).release);
    situation.left_in_template = true;
    assert!(!decide(&situation).release, "new pods would hang");
}

#[test]
fn a_lost_record_does_not_take_traffic_or_tags_away() {
    let situation = Situation { routed: true, ..seen(None) };
    let plan = decide(&situation);
    assert_eq!(plan.step.route(), Route::Sidecars);
    assert_eq!(plan.step.sessions().told(&spec(Mode::Off), Some(Mode::Enforce)), (Mode::Enforce, None));
}

#[test]
fn endpoints_decide_nothing_where_they_are_not_read() {
    use Step::*;
    let steps =
        [Injecting, Settling, Programmed, Untagging, Draining, Closing, Emptying, RoutingBack, Uninjecting];
    let mut decisive = 0;
    for step in [None].into_iter().chain(steps.map(Some)) {
        for bits in 0..32_u8 {
            let is = |bit: u8| bits & (1 << bit) != 0;
            let decided = |endpoints_agree| {
                let mut situation = seen(step);
                (situation.deleting, situation.routed, situation.contested) = (is(0), is(1), is(2));
                situation.now = if is(3) { at(9999) } else { at(1) };
                situation.without_sidecar = pods(if is(4) { 3 } else { 0 });
                situation.endpoints_agree = endpoints_agree;
                decide(&situation)
            };
            let decides = decided(false) != decided(true);
            assert!(!decides || endpoints_are_of_interest(step, is(0)), "{step:?} {bits:b}");
            decisive += usize::from(decides);
        }
    }
    assert!(decisive > 0, "they do decide somewhere");
}

#[test]
fn at_rest_nothing_is_looked_at_again_and_nothing_is_waited_for() {
    let plan = decide(&seen(Some(Step::Programmed)));
    assert_eq!((plan.waits_for, plan.again), (None, None));
}

#[test]
fn who_lags_for_long_is_asked_rarely() {
    let lagging = Situation { lagging: pods(1), ..seen(Some(Step::Programmed)) };
    assert_eq!(decide(&lagging).again, Some(SOON));
    assert_eq!(decide(&Situation { now: at(120), ..lagging }).again, Some(LATER));
}

#[test]
fn what_lags_is_named_three_at_most() {
    let plan = decide(&Situation { lagging: pods(5), ..seen(Some(Step::Programmed)) });
    assert!(plan.waits_for.unwrap().starts_with("chat-0, chat-1, chat-2 and 2 more to apply"));
}

/// What sidecars are told: the mode, and over how many seconds they close sessions.
type Told = (Mode, Option<u32>);
/// A pod: whether it has the sidecar, and what that was told.
type ModelPod = (bool, Option<Told>);

/// A cluster, as far as the plan touches it.
#[derive(Debug, Clone)]
struct World {
    now: i64,
    recorded: Option<(Step, Timestamp)>,
    template: bool,
    pods: Vec<ModelPod>,
    told: Told,
    route: Route,
    deleting: bool,
    released: bool,
}

impl World {
    fn new() -> Self {
        let told = (Mode::Off, None);
        Self {
            now: 0,
            recorded: None,
            template: false,
            pods: vec![(false, None); 3],
            told,
            route: Route::Application,
            deleting: false,
            released: false,
        }
    }

    fn situation(&self) -> Situation {
        let named = |which: &dyn Fn(&ModelPod) -> bool| {
            self.pods
                .iter()
                .enumerate()
                .filter(|(_, pod)| which(pod))
                .map(|(n, _)| format!("pod-{n}"))
                .collect()
        };
        Situation {
            recorded: self.recorded,
            deleting: self.deleting,
            routed: self.route == Route::Sidecars,
            endpoints_agree: true,
            ready: self.pods.len(),
            unready: None,
            without_sidecar: named(&|pod| !pod.0),
            injected: self.pods.iter().filter(|pod| pod.0).count(),
            contested: false,
            rolled_out: self.pods.iter().all(|pod| pod.0 == self.template),
            left_in_template: self.template,
            lagging: named(&|pod| pod.0 && pod.1 != Some(self.told)),
            drain: Drain { deadline_seconds: 60, window_seconds: 30 },
            now: at(self.now),
        }
    }

    /// One pass of the operator, which dies after `writes` writes.
    fn reconcile(&mut self, writes: usize) {
        if self.released {
            return;
        }
        let situation = self.situation();
        let plan = decide(&situation);
        let told = plan.step.sessions().told(&spec(Mode::Enforce), Some(self.told.0));
        let mut left = writes;
        let mut write = |does: &mut dyn FnMut()| {
            if left > 0 {
                left -= 1;
                does();
            }
        };
        write(&mut || self.told = told);
        write(&mut || self.template = plan.step.keeps_sidecar());
        write(&mut || self.route = plan.step.route());
        write(&mut || self.released |= plan.release);
        if situation.recorded.map(|(step, _)| step) != Some(plan.step) {
            write(&mut || self.recorded = Some((plan.step, at(self.now))));
        }
    }

    /// Something that Kubernetes does by and by.
    fn kubernetes(&mut self, choice: usize) {
        let count = self.pods.len();
        let pod = &mut self.pods[choice % count];
        if choice < 50 {
            if pod.0 != self.template {
                *pod = (self.template, self.template.then_some(self.told));
            }
        } else if pod.0 {
            pod.1 = Some(self.told);
        }
    }

    fn assert_sound(&self) {
        if self.route == Route::Sidecars {
            assert!(self.pods.iter().any(|pod| pod.0), "the Service leads to nobody: {self:?}");
            assert!(self.template, "new pods would get no traffic: {self:?}");
        }
        if self.route == Route::Application {
            let tagging = self.pods.iter().any(|pod| matches!(pod.1, Some((Mode::Enforce, None))));
            assert!(!tagging, "tags are given out that the application would be asked for: {self:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever order things happen in, wherever the operator dies, traffic has somewhere to go, tags
    /// stay with the sidecars, and both installing and deleting come to their end.
    #[test]
    fn a_crash_at_any_write_leaves_a_sound_world_that_comes_to_its_end(
        events in prop::collection::vec((0usize..5, 0usize..100, 0i64..20), 0..200),
        delete_after in 0usize..200,
        lose_record_after in 0usize..400,
    ) {
        let mut world = World::new();
        for (number, (writes, choice, seconds)) in events.iter().enumerate() {
            world.deleting |= number >= delete_after;
            if number == lose_record_after && !world.deleting {
                world.recorded = None;
            }
            world.reconcile(*writes);
            world.assert_sound();
            world.kubernetes(*choice);
            world.assert_sound();
            world.now += seconds;
        }
        let finish = |world: &mut World| {
            for _ in 0..100 {
                world.reconcile(usize::MAX);
                for choice in [0, 1, 2, 50, 51, 52] {
                    world.kubernetes(choice);
                }
                world.assert_sound();
                world.now += 10;
            }
        };
        finish(&mut world);
        if !world.deleting {
            prop_assert_eq!(world.recorded.map(|(step, _)| step), Some(Step::Programmed));
            prop_assert!(world.pods.iter().all(|pod| pod.1 == Some((Mode::Enforce, None))));
        }
        world.deleting = true;
        finish(&mut world);
        prop_assert!(world.released && !world.template && world.route == Route::Application);
        prop_assert!(world.pods.iter().all(|pod| !pod.0));
    }
}

#[test]
fn an_injection_says_which_pods_it_waits_for() {
    let said = |change: fn(&mut Situation)| {
        let mut situation = seen(Some(Step::Injecting));
        change(&mut situation);
        decide(&situation).waits_for.unwrap()
    };
    assert_eq!(said(|s| s.ready = 0), "a pod to be ready");
    assert_eq!(said(|s| s.rolled_out = false), "the rollout of the workload to end");
    assert_eq!(
        said(|s| (s.without_sidecar, s.unready) = (pods(4), Some("pod new is not ready (why)".to_owned()))),
        "chat-0, chat-1, chat-2 and 1 more to be replaced by pods with the sidecar; pod new is not ready (why)"
    );
}

#[test]
fn a_deletion_is_overdue_after_its_patience_beyond_what_the_step_takes() {
    let after = |step: Step, second: i64| {
        let situation = seen(Some(step));
        decide(&Situation { deleting: true, lagging: pods(1), now: at(second), ..situation }).overdue
    };
    for (step, takes) in
        [(Step::Closing, 0), (Step::Draining, 60), (Step::Emptying, 30), (Step::RoutingBack, 15)]
    {
        assert!(!after(step, takes + 599) && after(step, takes + 600), "{step:?}");
    }
}

#[test]
fn a_contested_injection_leads_traffic_past_the_sidecars_before_the_pods_lose_them() {
    for step in [Step::Injecting, Step::Settling, Step::Programmed] {
        let plan = decide(&Situation { contested: true, now: at(99), ..seen(Some(step)) });
        assert_eq!(plan.step, Step::Injecting);
    }
    let over = decide(&seen(Some(Step::Injecting)));
    assert_eq!(over.step, Step::Settling);
}
