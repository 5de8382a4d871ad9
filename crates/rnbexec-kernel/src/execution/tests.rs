use bytes::Bytes;

use super::*;
use crate::wire::Header;

fn message(msg_type: &str, parent: &str, content: &str) -> Message {
    Message {
        header: Header { msg_type: msg_type.to_owned(), ..Header::default() },
        parent_msg_id: Some(parent.to_owned()),
        content: Bytes::from(content.to_owned()),
        metadata: Bytes::from_static(b"{}"),
        buffers: Vec::new(),
    }
}

fn idle(parent: &str) -> Message {
    message("status", parent, r#"{"execution_state": "idle"}"#)
}

fn reply(parent: &str) -> Message {
    message("execute_reply", parent, r#"{"status": "ok"}"#)
}

/// What is known after these messages, the last of them at `now`.
fn after(messages: &[(Channel, Message)], now: Instant) -> Progress {
    let mut progress = Progress::default();
    for (channel, message) in messages {
        progress.observe(*channel, message, "me", now);
    }
    progress
}

#[tokio::test(start_paused = true)]
async fn reply_and_idle_in_either_order_complete_an_execution() {
    let now = Instant::now();
    let (reply, idle) = ((Channel::Shell, reply("me")), (Channel::Iopub, idle("me")));
    assert_eq!(after(&[reply.clone(), idle.clone()], now).complete(), Some(ExecutionEnd::Complete));
    assert_eq!(after(&[idle.clone(), reply.clone()], now).complete(), Some(ExecutionEnd::Complete));
    assert_eq!(after(&[reply], now).complete(), None);
    assert_eq!(after(&[idle], now).complete(), None);
}

#[tokio::test(start_paused = true)]
async fn messages_of_other_requests_say_nothing() {
    let others = [(Channel::Shell, reply("other")), (Channel::Iopub, idle("other"))];
    let progress = after(&others, Instant::now());
    assert_eq!(progress.complete(), None);
    assert_eq!(progress.deadline, None);
}

#[tokio::test(start_paused = true)]
async fn busy_and_unreadable_states_are_not_idle() {
    for content in [r#"{"execution_state": "busy"}"#, "{", "[]", r#"{"execution_state": 1}"#] {
        assert!(!is_idle(&message("status", "me", content)), "{content}");
    }
    assert!(!is_idle(&message("stream", "me", r#"{"execution_state": "idle"}"#)));
}

#[tokio::test(start_paused = true)]
async fn the_clock_runs_only_for_the_laggard_and_starts_anew_with_each_message() {
    let now = Instant::now();
    let stream = (Channel::Iopub, message("stream", "me", "{}"));
    assert_eq!(after(std::slice::from_ref(&stream), now).deadline, None);
    let mut progress = after(&[(Channel::Shell, reply("me"))], now);
    assert_eq!(progress.deadline, Some(now + LAGGARD_SILENCE));
    let later = now + Duration::from_secs(9);
    progress.observe(stream.0, &stream.1, "me", later);
    assert_eq!(progress.deadline, Some(later + LAGGARD_SILENCE));
    assert_eq!(progress.expired(), ExecutionEnd::IdleMissing { waited: LAGGARD_SILENCE });
}

#[tokio::test(start_paused = true)]
async fn an_idle_without_a_reply_is_told_apart() {
    let progress = after(&[(Channel::Iopub, idle("me"))], Instant::now());
    assert_eq!(progress.expired(), ExecutionEnd::ReplyMissing { waited: LAGGARD_SILENCE });
}

#[tokio::test(start_paused = true)]
async fn a_later_request_that_is_answered_shortens_the_wait() {
    let now = Instant::now();
    let mut progress = Progress { probe: Some("probe".to_owned()), ..Progress::default() };
    let info = |parent| message("kernel_info_reply", parent, "{}");
    progress.observe(Channel::Shell, &info("another"), "me", now);
    assert_eq!(progress.deadline, None);
    progress.observe(Channel::Shell, &info("probe"), "me", now);
    assert_eq!(progress.deadline, Some(now + PASSED_OVER_SILENCE));
    assert_eq!(progress.expired(), ExecutionEnd::ReplyMissing { waited: PASSED_OVER_SILENCE });
}
