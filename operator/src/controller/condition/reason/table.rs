//! Every reason, one row each.

#[cfg(test)]
use super::text;
use super::{Kind, Row, first, reasons};
use crate::controller::condition::ConditionType;

reasons! {
    // Columns: reason, kind, [conditions], seconds until the next attempt, => the action of a person.

    // When all is well.
    /// The spec is valid for the workload.
    Accepted: Holds [Accepted];
    /// The workload and the Service to take over, if any, are found.
    Resolved: Holds [ResolvedRefs];
    /// Every ready pod has a ready sidecar.
    Injected: Holds [SidecarInjected];
    /// The client Service sends traffic to the sidecars. Remove other Services that select the application's port.
    Routed: Holds [TrafficRouted];
    /// No Ingress is asked for; any load balancer will do.
    NoIngress: Holds [EdgeProgrammed];
    /// The message says what the edge's own settings must allow.
    Written: Holds [EdgeProgrammed];
    /// An Ingress is in front. `X-Forwarded-*` pass unchanged.
    IngressInFront: Holds [ClientAddressKnown];
    /// The Service is of type LoadBalancer. The message says whether `X-Forwarded-*` pass or are replaced.
    LoadBalancerInFront: Holds [ClientAddressKnown];
    /// `edge.trustedProxies` or `edge.trustedProxyCount` name the proxies. The message says whether
    /// `X-Forwarded-*` pass or are replaced.
    ProxiesTrusted: Holds [ClientAddressKnown];
    /// `edge.trustedProxyCount` is 0. `X-Forwarded-*` of clients are replaced.
    NoProxy: Holds [ClientAddressKnown];
    /// `edge.forwardedFor` is set. The message says where clients can forge `X-Forwarded-*`.
    AsConfigured: Holds [ClientAddressKnown];
    /// With one pod no adapter is needed.
    OnePod: Holds [AdapterDeclared];
    /// The application passes events between its pods itself.
    Declared: Holds [AdapterDeclared];
    /// The application sends nothing to sockets of other pods.
    NotNeeded: Holds [AdapterDeclared];
    /// The message says what becomes of requests in this mode.
    Ready: Holds [Ready];

    // On the way.
    /// Pods are replaced by ones with the sidecar; the Service leads to the application until all have one. The
    /// message names the new pod that is not ready, and why.
    Injecting: Progress [SidecarInjected, TrafficRouted, Ready];
    /// The Service leads to the sidecars, and the new endpoints become known everywhere: 15 seconds.
    Settling: Progress [Ready];
    /// The pods named have not applied the newest configuration; kubelet brings it within two minutes.
    Applying: Progress [Ready];
    /// Deletion: no session is tagged any more.
    Untagging: Progress [Ready];
    /// Deletion: tags are honoured until `drain.deadlineSeconds` have passed.
    Draining: Progress [Ready];
    /// Deletion: every pod is told to begin closing sessions.
    Closing: Progress [Ready];
    /// Deletion: sessions are closed one after the other over `drain.windowSeconds`.
    Emptying: Progress [Ready];
    /// Deletion: the Service leads to the application again: 15 seconds.
    RoutingBack: Progress [Ready];
    /// Deletion: pods are replaced by ones without the sidecar.
    Uninjecting: Progress [Ready];

    // When something is to be done.
    /// Another SocketIoCluster has this workload, or is older.
    Conflicted: Fails [Accepted] retry 15
        => "Delete one of the two. When the other has gone, this one takes over at once.";
    /// The pods use the node's network, where the sidecars' ports would be the node's.
    HostNetwork: Fails [Accepted] retry 15
        => "Take `hostNetwork` out of the pod template.";
    /// The workload has a container named `socketio-sidecar`, or the sidecar of a SocketIoCluster that is gone.
    NameTaken: Fails [Accepted] retry 15
        => "Remove or rename it; or name the SocketIoCluster as the one before.";
    /// A container uses port 7900, 7901 or 7902.
    PortTaken: Fails [Accepted] retry 15
        => "Let it use another.";
    /// The API server would refuse `sidecar.resources` in the pods.
    ResourcesInvalid: Fails [Accepted]
        => "Correct the field that the message names.";
    /// `sidecar.maxBufferedMiB`, a quarter more and 32 MiB do not fit the memory limit of the sidecar. The message has the
    /// highest value.
    BufferedTooLarge: Fails [Accepted]
        => "Lower `sidecar.maxBufferedMiB`, or raise the memory limit in `sidecar.resources`.";
    /// `sidecar.maxConnectionsPerSource` is set where clients may share one address: behind a proxy that
    /// `edge.trustedProxies` does not name, or behind nodes that replace addresses (SNAT).
    SourcesUnknown: Fails [Accepted]
        => "Name the proxy's networks in `edge.trustedProxies`. Without a proxy, set `externalTrafficPolicy: Local` on the \
            Service, or `edge.trustedProxyCount: 0`. Or remove the limit.";
    /// There is no such workload in this namespace.
    WorkloadNotFound: Fails [ResolvedRefs]
        => "Create it; it is noticed at once. Or make another SocketIoCluster with the right `workloadRef`.";
    /// The Service to take over does not exist.
    ServiceNotFound: Fails [ResolvedRefs]
        => "Create it, or make another SocketIoCluster without `takeOver`.";
    /// A Service has the name of the one that would be made.
    ServiceExists: Fails [ResolvedRefs]
        => "Remove it, or name it with `edge.service.takeOver` in a new SocketIoCluster.";
    /// Another SocketIoCluster has taken the Service over.
    ServiceTaken: Fails [ResolvedRefs]
        => "Delete that one first.";
    /// The Service does not select the workload's pods.
    ServiceElsewhere: Fails [ResolvedRefs]
        => "Correct its selector, or name another in a new SocketIoCluster.";
    /// The Service also selects pods of another workload, which would get no more traffic.
    ServiceShared: Fails [ResolvedRefs]
        => "Give them a Service of their own.";
    /// The Service has no cluster IP: clients find the pods by DNS and reach the application directly.
    HeadlessService: Fails [ResolvedRefs]
        => "Name one that has a cluster IP in a new SocketIoCluster.";
    /// A Secret or Service has the name of one that would be made.
    ObjectExists: Fails [ResolvedRefs]
        => "Remove it, or give the SocketIoCluster another name.";
    /// No port of the Service leads to `app.port`.
    NoSuchPort: Fails [ResolvedRefs]
        => "Correct `app.port`, or let a port of the Service lead there.";
    /// The workload's selector has no `matchLabels`, which a Service needs.
    SelectorNotUsable: Fails [ResolvedRefs]
        => "Make a Service of your own and have it taken over.";
    /// The pod named does not start, or nobody in it accepts connections on `app.port`. Old pods serve on.
    SidecarNotReady: Fails [SidecarInjected]
        => "Set `app.port` to the port that the application listens on; else see `kubectl describe pod`.";
    /// Pods without the sidecar are there still, and the workload does not replace them by itself: it is
    /// paused, or its `updateStrategy` is `OnDelete`.
    RolloutHeldBack: Fails [SidecarInjected]
        => "Resume it, or delete its pods one after the other.";
    /// Somebody took the sidecar out twice within ten minutes. It is not put in again, and traffic passes as
    /// without it.
    InjectionContested: Fails [SidecarInjected]
        => "Let that tool leave alone what field manager `socketio-affinity` owns, then change anything in the \
            spec. Recreating the workload resets the count.";
    /// The Ingress to annotate does not exist.
    IngressNotFound: Fails [EdgeProgrammed]
        => "Create it, or change `edge.ingress`.";
    /// An Ingress has the name of the one that would be made.
    IngressExists: Fails [EdgeProgrammed]
        => "Take it over, or remove it.";
    /// Another SocketIoCluster has taken the Ingress over.
    IngressTaken: Fails [EdgeProgrammed]
        => "Delete that one first.";
    /// The Ingress does not lead to the client Service.
    IngressElsewhere: Fails [EdgeProgrammed]
        => "Point the Ingress backend to the client Service, or set `edge.service` to the Ingress's Service with \
            `takeOver: true`.";
    /// The Ingress has a configuration-snippet of its own, which is not overwritten.
    IngressHasSnippet: Fails [EdgeProgrammed]
        => "Remove it, or set `edge.sessionAffinity.forwardedFor` to `Trusted`.";
    /// The IngressClass could not be read.
    IngressClassUnreadable: Fails [EdgeProgrammed]
        => "Grant the operator `get` on ingressclasses. The operator retries.";
    /// The Ingress names no class.
    NoIngressClass: Fails [EdgeProgrammed]
        => "Set `edge.ingress.className`.";
    /// There is no such IngressClass.
    IngressClassNotFound: Fails [EdgeProgrammed]
        => "Name one that `kubectl get ingressclass` lists, or create it; it is noticed at once.";
    /// There are no annotations for the class's controller yet.
    UnknownController: Fails [EdgeProgrammed]
        => "Take `edge.ingress` out, and let an Ingress of your own lead to the client Service.";
    /// Nothing says which proxy is in front, so `X-Forwarded-*` of clients pass unchanged. An application that
    /// trusts loopback believes them. Its Event is a Warning.
    EdgeUnknown: Fails [ClientAddressKnown]
        => "Set `edge.trustedProxies`, or `edge.trustedProxyCount` (1 behind a Gateway, 0 for no proxy). See [client address](client-address.md).";
    /// Several pods, and nothing said of an adapter: what one pod emits does not arrive at clients of the
    /// others.
    NotDeclared: Fails [AdapterDeclared]
        => "Give the application an adapter and say which; or `NotNeeded`. See [adapters](adapters.md).";
    /// The cluster adapter passes events between the processes of one pod only.
    SpansOnePod: Fails [AdapterDeclared]
        => "Use one that spans pods, such as Redis.";

    // When the API server or something else refuses.
    /// The operator may not do that in this namespace.
    Forbidden: Refused [Ready, EdgeProgrammed] retry 60
        => "Grant it, for instance with this namespace among the chart's `watchNamespaces`.";
    /// A webhook, a policy or Pod Security denies it. The chart's policy also denies restoring a
    /// configuration-snippet that an earlier operator overwrote.
    RefusedByAdmission: Refused [Ready, EdgeProgrammed] retry 60
        => "Change what denies it, or the spec. Restore such a snippet yourself from the annotation `socketio-affinity.dev/original`.";
    /// Another field manager has changed what the sidecar needs in the workload. Nothing is forced.
    Conflict: Refused [Ready] retry 10
        => "Undo what that manager changed, or take it out of what it applies.";
    /// The API server does not take what follows from the spec.
    Invalid: Refused [Ready, EdgeProgrammed] retry 60
        => "Change the spec accordingly.";
    /// Something went while it was being changed.
    NotFound: Refused [Ready, EdgeProgrammed] retry 10
        => "Nothing: it is tried again.";
    /// The API server limits the operator's requests (429).
    Throttled: Refused [Ready, EdgeProgrammed] retry 10
        => "Nothing: it is tried again.";
    /// The API server could not be asked.
    Unreachable: Refused [Ready, EdgeProgrammed] retry 10
        => "Nothing: it is tried again.";
    /// The API server failed.
    ApiServer: Refused [Ready, EdgeProgrammed] retry 10
        => "Nothing: it is tried again.";
    /// The API server does not know the operator.
    Unauthorized: Refused [Ready, EdgeProgrammed] retry 60
        => "Restart the operator; see its ServiceAccount.";
    /// Keys or certificates could not be made.
    Credentials: Refused [Ready] retry 10
        => "The message says why; see the operator's log.";
    /// The object named is not what it should be.
    Unreadable: Refused [Ready, EdgeProgrammed] retry 60
        => "Correct it; the message says what cannot be read.";

    // Events that are no conditions.
    /// Something of the operator's had been changed or deleted by somebody else, and was put back. Secrets are
    /// looked at once a minute, the rest is watched.
    Repaired: Event [];
    /// Deletion has come to its end: everything is as it was before.
    Released: Event [];

    // For metrics alone.
    /// Another writer was faster. The reconcile that its change starts sees it.
    Outdated: Unsaid [] retry 1;
}
