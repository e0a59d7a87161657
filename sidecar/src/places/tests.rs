use super::*;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 1, 0, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 1, 0, 2));
const SOON: Duration = Duration::from_secs(1);

/// The first connection of `all` that is asked to leave when somebody enters.
fn asked(places: &Places, all: &[Option<&Place>]) -> Option<usize> {
    places
        .ask(Instant::now())
        .then(|| all.iter().position(|place| place.is_some_and(Place::is_asked)).expect("somebody was asked"))
}

#[tokio::test(start_paused = true)]
async fn the_longest_waiting_connection_leaves_first_and_no_busy_one_ever() {
    let places = Places::new(3, 3);
    let mut held: Vec<_> = (0..3).map(|_| places.try_enter(A).unwrap()).collect();
    assert!(places.try_enter(A).is_none());
    held[0].work();
    tokio::time::advance(SOON).await;
    held[1].wait(Instant::now());
    tokio::time::advance(SOON).await;
    assert_eq!(asked(&places, &[None, Some(&held[1]), Some(&held[2])]), Some(2));
    drop(held.remove(2));
    let third = places.try_enter(A).unwrap();
    third.work();
    assert_eq!(asked(&places, &[None, Some(&held[1])]), Some(1));
    held[1].work();
    assert!(!held[1].is_asked(), "its request has come, and it declines");
    assert_eq!(asked(&places, &[]), None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_asked_before_its_age() {
    let places = Places::new(2, 2);
    let (waits, begins) = (places.try_enter(A).unwrap(), places.try_enter(A).unwrap());
    begins.begin(Instant::now());
    assert_eq!(asked(&places, &[]), None);
    tokio::time::advance(WAITING_AGE).await;
    assert_eq!(asked(&places, &[Some(&waits)]), Some(0));
    assert_eq!(asked(&places, &[]), None, "an unfinished head has more time");
    tokio::time::advance(BEGINNING_AGE).await;
    assert_eq!(asked(&places, &[None, Some(&begins)]), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_source_that_holds_most_leaves_first() {
    let places = Places::with(4, 4, true, Ages { waiting: Duration::ZERO, ..Ages::default() });
    let honest = places.try_enter(B).unwrap();
    tokio::time::advance(SOON).await;
    let greedy: Vec<_> = (0..3).map(|_| places.try_enter(A).unwrap()).collect();
    assert_eq!(asked(&places, &[Some(&honest), Some(&greedy[0])]), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_the_place_of_the_one_that_was_asked() {
    let places = Places::new(1, 1);
    let place = places.try_enter(A).unwrap();
    let leaves = tokio::spawn(async move { place.asked().await });
    let mut count = 0;
    let newcomer = timeout(SOON, places.enter(B, || count += 1)).await.unwrap();
    leaves.await.unwrap();
    assert_eq!(count, 1);
    newcomer.work();
    assert!(timeout(SOON * 3, places.enter(B, || {})).await.is_err());
    assert!(places.full_for().unwrap() >= SOON * 2);
    drop(newcomer);
    timeout(SOON, places.enter(B, || {})).await.unwrap();
    assert_eq!(places.full_for(), None);
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_one_search_finds_leave_in_order() {
    let places = Places::new(MAX_CANDIDATES * 3, MAX_CANDIDATES * 3);
    let mut held = Vec::new();
    for _ in 0..MAX_CANDIDATES * 3 {
        held.push(Some(places.try_enter(A).unwrap()));
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    tokio::time::advance(SOON).await;
    for index in 0..MAX_CANDIDATES * 3 {
        let all: Vec<_> = held.iter().map(Option::as_ref).collect();
        assert_eq!(asked(&places, &all), Some(index));
        held[index] = None;
    }
}

#[tokio::test]
async fn who_stays_gives_the_place_back_and_counts_in_the_total() {
    let places = Places::new(1, 2);
    let stay = places.try_enter(A).unwrap().stay();
    let place = places.try_enter(A).unwrap();
    assert!(places.try_enter(A).is_none());
    let second = place.stay();
    assert!(places.try_enter(A).is_none(), "two stay");
    drop(stay);
    assert!(places.try_enter(A).is_some());
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_found_and_has_ended_is_not_asked() {
    let places = Places::new(4, 4);
    let mut held: Vec<_> = (0..4).map(|_| places.try_enter(A).unwrap()).collect();
    tokio::time::advance(SOON).await;
    let all: Vec<_> = held.iter().map(Some).collect();
    assert_eq!(asked(&places, &all), Some(0), "all four are found");
    held.drain(1..3);
    assert_eq!(asked(&places, &[None, Some(&held[1])]), Some(1), "the fourth is the next that is left");
    assert!(!places.ask(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_body_leaves_last_and_the_oldest_one_first() {
    let places = Places::new(4, 4);
    let held: Vec<_> = (0..4).map(|_| places.try_enter(A).unwrap()).collect();
    held[1].receive(Instant::now());
    tokio::time::advance(SOON).await;
    held[0].receive(Instant::now());
    tokio::time::advance(RECEIVING_AGE - SOON * 2).await;
    held[2].begin(Instant::now() - BEGINNING_AGE);
    held[3].wait(Instant::now() - WAITING_AGE);
    let all: Vec<_> = held.iter().map(Some).collect();
    assert_eq!(asked(&places, &all), Some(3));
    held[3].work();
    assert_eq!(asked(&places, &all), Some(2));
    held[2].work();
    assert_eq!(asked(&places, &all), None, "an unfinished body has more time");
    tokio::time::advance(SOON).await;
    assert_eq!(asked(&places, &all), Some(1));
    held[1].work();
    assert_eq!(asked(&places, &all), None);
    tokio::time::advance(SOON).await;
    assert_eq!(asked(&places, &all), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_complete_is_not_asked_even_where_a_search_has_found_it() {
    let places = Places::new(2, 2);
    let held: Vec<_> = (0..2).map(|_| places.try_enter(A).unwrap()).collect();
    for place in &held {
        place.receive(Instant::now());
    }
    tokio::time::advance(RECEIVING_AGE).await;
    let all: Vec<_> = held.iter().map(Some).collect();
    assert_eq!(asked(&places, &all), Some(0), "both are found");
    held[0].work();
    assert!(!held[0].is_asked(), "the connection declines");
    held[1].work();
    assert_eq!(asked(&places, &all), None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_leaves_before_bodies_that_an_earlier_search_has_found() {
    let places = Places::new(3, 3);
    let held: Vec<_> = (0..3).map(|_| places.try_enter(A).unwrap()).collect();
    for place in &held {
        place.receive(Instant::now());
    }
    tokio::time::advance(RECEIVING_AGE).await;
    let all: Vec<_> = held.iter().map(Some).collect();
    assert_eq!(asked(&places, &all), Some(0), "all three are found");
    held[0].wait(Instant::now());
    tokio::time::advance(WAITING_AGE).await;
    assert_eq!(asked(&places, &all), Some(0));
}

#[tokio::test(start_paused = true)]
async fn bodies_have_no_age_among_peers() {
    let places = Places::with(1, 1, false, Ages { receiving: Duration::MAX, ..Ages::default() });
    let place = places.try_enter(A).unwrap();
    place.receive(Instant::now());
    tokio::time::advance(SOON * 86_400).await;
    assert_eq!(asked(&places, &[Some(&place)]), None);
}
