use super::*;

fn stop(phase: Phase) -> Stop {
    Stop { phase, grace: Duration::from_secs(4), deadline: None, done: None }
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_does_not_go_when_asked_is_terminated_and_then_killed() {
    let now = Instant::now();
    let mut stop = stop(Phase::Asked);
    assert_eq!(stop.escalate(now), Signal::Terminate);
    assert_eq!(stop.deadline, Some(now + Duration::from_secs(2)));
    assert_eq!(stop.manner(), ExitManner::Terminated);
    assert_eq!(stop.escalate(now), Signal::Kill);
    assert_eq!(stop.deadline, None);
    assert_eq!(stop.manner(), ExitManner::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_closed_its_channels_and_lives_on_is_killed_as_dead() {
    let mut stop = stop(Phase::Disconnected);
    assert_eq!(stop.escalate(Instant::now()), Signal::Kill);
    assert_eq!(stop.phase, Phase::CutOff);
    assert_eq!(stop.manner(), ExitManner::AlreadyDead);
}
