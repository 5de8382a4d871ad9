use super::*;

const RETRY: Retry =
    Retry { attempts: 3, first_wait: Duration::from_secs(10), longest_wait: Duration::from_secs(15) };

fn after(state: State, event: Event) -> Next {
    next(state, event, |_| RETRY)
}

fn failed(class: Class) -> Event {
    Event::Failed { class, retry_after: None }
}

fn at(step: Step) -> State {
    State { step, ..State::NEW }
}

#[test]
fn a_finding_goes_all_the_way() {
    use Step::*;
    let mut state = State::NEW;
    let mut steps = vec![state.step];
    while !state.step.is_final() {
        let event = if state.step == Step::Judge { Event::Finding } else { Event::Done };
        state = after(state, event).state;
        steps.push(state.step);
    }
    assert_eq!(steps, [Claim, Run, Judge, Publish, Annotate, Settle, Acknowledge, Done]);
    assert_eq!(state.ending, Some(Ending::Triaged));
}

#[test]
fn a_case_that_begins_again_anywhere_ends_as_it_did() {
    let done = State { step: Step::Done, failures: 2, ending: Some(Ending::Triaged) };
    for step in Step::ALL.into_iter().filter(|step| !step.is_final()) {
        let mut state = done.begun_again(step);
        assert_eq!((state.step, state.failures), (step, 0));
        while !state.step.is_final() {
            let event = if state.step == Step::Judge { Event::Finding } else { Event::Done };
            state = after(state, event).state;
        }
        assert_eq!((state.step, state.ending), (Step::Done, Some(Ending::Triaged)), "{step:?}");
    }
}

#[test]
fn no_finding_leaves_the_incident_alone() {
    let judged = after(at(Step::Judge), Event::NoFinding);
    assert_eq!((judged.state.step, judged.state.ending), (Step::Acknowledge, Some(Ending::NoFinding)));
    assert_eq!(after(judged.state, Event::Done).state.step, Step::Done);
}

#[test]
fn an_incident_that_is_not_to_be_triaged_is_skipped() {
    let skipped = after(State::NEW, Event::NotToBeTriaged);
    assert_eq!((skipped.state.step, skipped.state.ending), (Step::Acknowledge, Some(Ending::Skipped)));
}

#[test]
fn a_failure_is_tried_again_where_it_happened_after_a_wait_that_grows() {
    let once = after(at(Step::Publish), failed(Class::Unavailable));
    assert_eq!((once.state.step, once.wait), (Step::Publish, Some(Duration::from_secs(10))));
    let twice = after(once.state, failed(Class::Unavailable));
    assert_eq!((twice.state.step, twice.wait), (Step::Publish, Some(Duration::from_secs(15))));
}

#[test]
fn a_service_that_asks_for_more_time_gets_it() {
    let event = Event::Failed { class: Class::Unavailable, retry_after: Some(Duration::from_secs(99)) };
    assert_eq!(after(at(Step::Annotate), event).wait, Some(Duration::from_secs(99)));
}

#[test]
fn a_notebook_that_cannot_be_judged_is_run_again() {
    assert_eq!(after(at(Step::Judge), failed(Class::Notebook)).state.step, Step::Run);
}

#[test]
fn too_many_failures_park_the_case_and_the_source_is_told() {
    let state = State { failures: 2, ..at(Step::Run) };
    let parked = after(state, failed(Class::Notebook)).state;
    assert_eq!((parked.step, parked.ending), (Step::Acknowledge, Some(Ending::Parked)));
    assert_eq!(after(parked, Event::Done).state.step, Step::NeedsHuman);
}

#[test]
fn a_source_that_cannot_be_told_leaves_it_to_a_person() {
    let parked = State { ending: Some(Ending::Parked), failures: 3, ..at(Step::Acknowledge) };
    assert_eq!(after(parked, failed(Class::Unavailable)).state.step, Step::NeedsHuman);
}

#[test]
fn what_was_delivered_too_often_is_parked() {
    let parked = after(at(Step::Run), Event::DeliveredTooOften).state;
    assert_eq!((parked.step, parked.ending), (Step::Acknowledge, Some(Ending::Parked)));
}

/// Every case ends, whatever happens, and nothing happens after its end.
#[test]
fn every_case_ends() {
    let mut events = vec![Event::Done, Event::NotToBeTriaged, Event::Finding, Event::NoFinding];
    events.extend(Class::ALL.map(failed));
    events.push(Event::DeliveredTooOften);
    // All orders of events, seeded: a small generator is enough to wander through every edge.
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut state = State::NEW;
        let mut steps = 0;
        while !state.step.is_final() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let event = events[usize::try_from(seed >> 33).unwrap() % events.len()];
            let then = after(state, event).state;
            let forward = then.step > state.step || then.failures > state.failures;
            assert!(forward, "{state:?} {event:?} {then:?}");
            state = then;
            steps += 1;
            assert!(steps < 40);
        }
        for event in &events {
            assert_eq!(after(state, *event), Next { state, wait: None });
        }
    }
}
