//! A queue of Azure Storage, against Azurite: workers compete for messages, and nobody loses one.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic with the error as the test itself would")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rnbexec_azure::credential::{CredentialSettings, credential};
use rnbexec_azure::queue::{IncidentMessage, Keep, Lease, Message, Queue};
use rnbexec_azure::storage::{StorageClient, StorageSettings};
use rnbexec_azure::{AzureErrorKind, Http, HttpSettings};
use rnbexec_tests::servers::{self, Answer, Server};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

/// A client that asks nobody for tokens.
fn client(variables: &[(&str, &str)], http: &HttpSettings) -> StorageClient {
    let settings = CredentialSettings::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    StorageClient::new(Http::new(http).unwrap(), credential(&settings).unwrap())
}

/// A new queue, by connection string.
async fn queue(server: &Server) -> Queue {
    let settings = StorageSettings::from_connection_string(server.said("connection")).unwrap();
    let queue = Queue::new(&client(&[], &HttpSettings::default()), &settings, "incidents").unwrap();
    queue.create().await.unwrap();
    queue
}

async fn one(queue: &Queue, visibility: Duration) -> Message {
    let mut messages = queue.receive(1, visibility).await.unwrap();
    assert_eq!(messages.len(), 1);
    messages.pop().unwrap()
}

/// The first message that comes, within a deadline: a lease ends by the server's clock.
async fn next(queue: &Queue) -> Message {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(message) = queue.receive(1, HOUR).await.unwrap().pop() {
            return message;
        }
        assert!(Instant::now() < deadline, "no message came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Azurite as anybody starts it refuses versions of the protocol that it does not know.
#[tokio::test]
async fn a_message_is_leased_renewed_and_deleted_on_a_plain_azurite() {
    let server = Server::plain_azurite();
    let queue = queue(&server).await;
    queue.create().await.unwrap();
    queue.put("116294", Keep::Forever).await.unwrap();
    assert_eq!(queue.length().await.unwrap(), 1);

    let mut message = one(&queue, HOUR).await;
    assert_eq!((message.text.as_str(), message.dequeue_count), ("116294", 1));
    assert!(message.inserted.is_some());
    assert!(queue.receive(32, HOUR).await.unwrap().is_empty(), "a lease keeps a message from others");

    let before = message.pop_receipt.clone();
    assert_eq!(queue.renew(&mut message, HOUR).await.unwrap(), Lease::Held);
    assert_ne!(message.pop_receipt, before);
    assert_eq!(queue.delete(&message).await.unwrap(), Lease::Held);
    assert_eq!(queue.length().await.unwrap(), 0);
    assert_eq!(queue.delete(&message).await.unwrap(), Lease::Gone);
    assert_eq!(queue.renew(&mut message, HOUR).await.unwrap(), Lease::Gone);
}

#[tokio::test]
async fn a_message_that_is_let_go_comes_back_and_the_old_lease_is_worth_nothing() {
    let server = Server::plain_azurite();
    let queue = queue(&server).await;
    queue.put("1", Keep::For(HOUR)).await.unwrap();
    let mut first = one(&queue, HOUR).await;
    let stale = first.clone();
    assert_eq!(queue.renew(&mut first, Duration::ZERO).await.unwrap(), Lease::Held);

    let mut second = next(&queue).await;
    assert_eq!((second.id.as_str(), second.dequeue_count), (first.id.as_str(), 2));
    for mut lost in [first, stale] {
        assert_eq!(queue.renew(&mut lost, HOUR).await.unwrap(), Lease::Taken);
        assert_eq!(queue.delete(&lost).await.unwrap(), Lease::Taken);
    }
    assert_eq!(queue.renew(&mut second, HOUR).await.unwrap(), Lease::Held);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends() {
    let server = Server::plain_azurite();
    let queue = queue(&server).await;
    queue.put("1", Keep::Forever).await.unwrap();
    let forgotten = one(&queue, SECOND).await;
    let message = next(&queue).await;
    assert_eq!((message.id.as_str(), message.dequeue_count), (forgotten.id.as_str(), 2));
    assert_eq!(queue.delete(&forgotten).await.unwrap(), Lease::Taken);
}

#[tokio::test]
async fn text_comes_out_as_it_went_in() {
    let server = Server::plain_azurite();
    let queue = queue(&server).await;
    let id = "/subscriptions/d0cfe6b2-9ac0-4464-9919-dccaee2e48c0/resourceGroups/a&b/providers/\
              Microsoft.OperationalInsights/workspaces/ws/providers/Microsoft.SecurityInsights/Incidents/\
              73e01a99-5cd7-4139-a149-9f2736ff2ab5"
        .replace("a&b", "rg");
    let json = format!("{{\"object\": {{\"id\": \"{id}\", \"title\": \"<b>&amp; 'x' ]]> ä\\n\"}}}}");
    let expected = IncidentMessage::parse(&id).unwrap();
    for text in [id.clone(), json.clone(), BASE64_STANDARD.encode(&id), BASE64_STANDARD.encode(json)] {
        queue.put(&text, Keep::Forever).await.unwrap();
        let message = one(&queue, HOUR).await;
        assert_eq!(message.text, text);
        assert_eq!(IncidentMessage::parse(&message.text).unwrap(), expected);
    }
    let odd = " \t<a>&lt;\n\"'";
    queue.put(odd, Keep::Forever).await.unwrap();
    assert_eq!(one(&queue, HOUR).await.text, odd);
    let error = queue.put("a\u{1}b", Keep::Forever).await.unwrap_err();
    assert!(matches!(error.kind(), AzureErrorKind::Settings { .. }), "{error}");
}

#[tokio::test]
async fn what_nobody_can_work_on_goes_to_the_poison_queue_which_is_made_on_demand() {
    let server = Server::plain_azurite();
    let queue = queue(&server).await;
    queue.put("rubbish", Keep::Forever).await.unwrap();
    queue.put("more rubbish", Keep::Forever).await.unwrap();
    let poison = queue.poison().unwrap();
    assert_eq!(poison.name(), "incidents-poison");
    assert_eq!(poison.length().await.unwrap_err().kind(), &AzureErrorKind::NotFound);
    for message in queue.receive(2, HOUR).await.unwrap() {
        assert_eq!(queue.set_aside(&message, &poison).await.unwrap(), Lease::Held);
    }
    assert_eq!(queue.length().await.unwrap(), 0);
    let texts: BTreeSet<_> =
        poison.receive(32, HOUR).await.unwrap().into_iter().map(|message| message.text).collect();
    assert_eq!(texts, BTreeSet::from(["more rubbish".to_owned(), "rubbish".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_compete_and_each_message_is_done_once() {
    let server = Server::plain_azurite();
    let queue = Arc::new(queue(&server).await);
    for number in 0..40 {
        queue.put(&number.to_string(), Keep::Forever).await.unwrap();
    }
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let queue = Arc::clone(&queue);
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let messages = queue.receive(3, HOUR).await.unwrap();
                if messages.is_empty() {
                    return done;
                }
                for mut message in messages {
                    assert_eq!(queue.renew(&mut message, HOUR).await.unwrap(), Lease::Held);
                    assert_eq!(queue.delete(&message).await.unwrap(), Lease::Held);
                    done.push(message.text.parse::<u32>().unwrap());
                }
            }
        });
    }
    let mut done = workers.join_all().await.concat();
    done.sort_unstable();
    assert_eq!(done, (0..40).collect::<Vec<_>>());
    assert_eq!(queue.length().await.unwrap(), 0);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found_and_a_wrong_key_is_no_identity() {
    let server = Server::plain_azurite();
    let settings = StorageSettings::from_connection_string(server.said("connection")).unwrap();
    let client = client(&[], &HttpSettings::default());
    let absent = Queue::new(&client, &settings, "absent").unwrap();
    assert_eq!(absent.receive(1, HOUR).await.unwrap_err().kind(), &AzureErrorKind::NotFound);
    assert_eq!(absent.put("1", Keep::Forever).await.unwrap_err().kind(), &AzureErrorKind::NotFound);
    let settings = settings.with_key(BASE64_STANDARD.encode("wrong"));
    let refused = Queue::new(&client, &settings, "absent").unwrap().receive(1, HOUR).await.unwrap_err();
    assert_eq!(refused.kind(), &AzureErrorKind::Unauthenticated, "{refused}");
}

#[tokio::test]
async fn a_token_lets_in_over_tls() {
    let server = Server::azurite_with_tokens();
    let claims = r#"{"iss": "https://sts.windows.net/t/", "aud": "https://storage.azure.com", "iat": 1, "nbf": 1, "exp": 4102444800}"#;
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.{}", part(r#"{"alg": "none", "typ": "JWT"}"#), part(claims), part("unsigned"));
    let answer = format!(r#"{{"access_token": "{token}", "expires_on": "4102444800"}}"#);
    let identity = servers::Http::serve(move |_| Answer::ok(answer.clone()));
    let http = HttpSettings {
        ca_certificates: vec![server.certificate().as_bytes().to_vec()],
        ..HttpSettings::default()
    };
    let url = identity.url();
    let client = client(&[("MSI_ENDPOINT", &url), ("MSI_SECRET", "hush")], &http);
    let queue =
        Queue::at(&client, &StorageSettings::default(), &format!("{}/incidents", server.said("queue")))
            .unwrap();
    queue.create().await.unwrap();
    queue.put("1", Keep::Forever).await.unwrap();
    let mut message = one(&queue, HOUR).await;
    assert_eq!(queue.renew(&mut message, HOUR).await.unwrap(), Lease::Held);
    assert_eq!(queue.set_aside(&message, &queue.poison().unwrap()).await.unwrap(), Lease::Held);
    assert_eq!(identity.asked().len(), 1, "a token is kept");
}

/// The queue as the manager uses it.
mod source {
    use rnbexec_azure::sentinel::IncidentRef;
    use rnbexec_manager::source::queue::{QueueSettings, QueueSource};
    use rnbexec_manager::source::{Arrival, Ask, Batch, Delivery, IncidentSource, Lease};

    use super::*;

    const SETTINGS: QueueSettings =
        QueueSettings { visibility: HOUR, visibility_without_renewal: HOUR, deliveries: 2 };

    fn source(queue: &Queue, settings: QueueSettings) -> QueueSource {
        QueueSource::new(queue.beside(queue.name()).unwrap(), queue.poison().unwrap(), settings)
    }

    async fn ask(source: &QueueSource, room: usize) -> Batch {
        source.pending(Ask { room, watermark: None }).await.unwrap()
    }

    /// Everything that comes until there is nothing more.
    async fn all(source: &QueueSource, room: usize) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        loop {
            let batch = ask(source, room).await;
            arrivals.extend(batch.arrivals);
            if batch.exhausted {
                return arrivals;
            }
        }
    }

    /// The message that comes next, within a deadline: a lease ends by the server's clock.
    async fn arrival(source: &QueueSource) -> Delivery {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(arrival) = ask(source, 1).await.arrivals.pop() {
                return arrival.delivery.unwrap();
            }
            assert!(Instant::now() < deadline, "no message came");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn no_more_messages_are_taken_than_there_is_room() {
        let server = Server::plain_azurite();
        let queue = queue(&server).await;
        for number in 0..7 {
            queue.put(&number.to_string(), Keep::Forever).await.unwrap();
        }
        let (ours, theirs) = (source(&queue, SETTINGS), source(&queue, SETTINGS));
        assert!(ask(&ours, 0).await.arrivals.is_empty());
        assert_eq!(
            ask(&ours, 3).await.arrivals.len(),
            1,
            "the first one tells whether leases can be renewed"
        );
        assert_eq!(ask(&ours, 3).await.arrivals.len(), 3);
        let rest: Vec<_> = all(&theirs, 32).await.into_iter().map(|arrival| arrival.reference).collect();
        assert_eq!(rest, [4, 5, 6].map(IncidentRef::Number));
        assert_eq!(queue.length().await.unwrap(), 7, "leased is not gone");
    }

    #[tokio::test]
    async fn a_message_is_gone_when_everything_is_done_and_not_before() {
        let server = Server::plain_azurite();
        let queue = queue(&server).await;
        queue.put("116294", Keep::Forever).await.unwrap();
        let source = source(&queue, SETTINGS);
        let mut delivery = arrival(&source).await;
        assert_eq!(source.renew(&mut delivery).await.unwrap(), Lease::Held);
        assert_eq!(queue.length().await.unwrap(), 1);
        source.acknowledge(&delivery).await.unwrap();
        assert_eq!(queue.length().await.unwrap(), 0);
        source.acknowledge(&delivery).await.unwrap();
        assert_eq!(source.renew(&mut delivery).await.unwrap(), Lease::Lost);
    }

    #[tokio::test]
    async fn a_message_whose_worker_died_goes_to_another_and_is_lost_to_the_first() {
        let server = Server::plain_azurite();
        let queue = queue(&server).await;
        queue.put("116294", Keep::Forever).await.unwrap();
        let (dying, living) =
            (source(&queue, QueueSettings { visibility: SECOND, ..SETTINGS }), source(&queue, SETTINGS));
        let mut lost = arrival(&dying).await;
        let taken = arrival(&living).await;
        assert_eq!(
            (taken.message_id.as_str(), taken.count, taken.is_too_often()),
            (lost.message_id.as_str(), 2, false)
        );
        assert_eq!(dying.renew(&mut lost).await.unwrap(), Lease::Lost);
        // What the first still does about it does the second no harm.
        dying.acknowledge(&lost).await.unwrap();
        dying.release(&lost, Duration::ZERO).await.unwrap();
        dying.park(&lost, "it was given up").await.unwrap();
        assert_eq!(queue.length().await.unwrap(), 1);
        assert_eq!(queue.poison().unwrap().length().await.unwrap_err().kind(), &AzureErrorKind::NotFound);
        living.acknowledge(&taken).await.unwrap();
        assert_eq!(queue.length().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_message_that_comes_too_often_is_marked_and_parked_with_its_text() {
        let server = Server::plain_azurite();
        let queue = queue(&server).await;
        let text = BASE64_STANDARD.encode("116294");
        queue.put(&text, Keep::Forever).await.unwrap();
        let source = source(&queue, SETTINGS);
        for count in 1..=2 {
            let delivery = arrival(&source).await;
            assert_eq!((delivery.count, delivery.is_too_often()), (count, false));
            source.release(&delivery, Duration::ZERO).await.unwrap();
        }
        let delivery = arrival(&source).await;
        assert!(delivery.is_too_often());
        source.park(&delivery, "the notebook fails each time").await.unwrap();
        source.park(&delivery, "the notebook fails each time").await.unwrap();
        assert_eq!(queue.length().await.unwrap(), 0);
        let poison = queue.poison().unwrap();
        assert_eq!(poison.length().await.unwrap(), 1);
        assert_eq!(one(&poison, HOUR).await.text, text);
    }

    #[tokio::test]
    async fn what_is_no_incident_goes_to_the_poison_queue_and_holds_up_nothing() {
        let server = Server::plain_azurite();
        let queue = queue(&server).await;
        for text in ["no incident \u{202e}", "116294", "{}"] {
            queue.put(text, Keep::Forever).await.unwrap();
        }
        let source = source(&queue, SETTINGS);
        let first = ask(&source, 8).await;
        assert!(first.arrivals.is_empty() && !first.exhausted);
        let second = ask(&source, 8).await;
        assert_eq!(
            second.arrivals.iter().map(|arrival| &arrival.reference).collect::<Vec<_>>(),
            [&IncidentRef::Number(116_294)]
        );
        assert!(ask(&source, 8).await.exhausted);
        assert!(first.rejected[0].what.contains("of the queue incidents"), "{first:?}");
        assert!(first.rejected[0].reason.contains("but got \"no incident \u{fffd}\""), "{first:?}");
        assert_eq!(second.rejected.len(), 1);
        assert_eq!(queue.poison().unwrap().length().await.unwrap(), 2);
        assert_eq!(queue.length().await.unwrap(), 1);
    }

    /// Azurite knows no roles: this server gives messages and lets them be deleted, and no more.
    fn processor() -> servers::Http {
        let mut left = vec!["3", "2", "1"];
        servers::Http::serve(move |asked| match asked.method.as_str() {
            "GET" => {
                let messages: String = left
                    .pop()
                    .map(|text| {
                        format!(
                            "<QueueMessage><MessageId>id-{text}</MessageId><PopReceipt>a+/=</PopReceipt>\
                             <DequeueCount>1</DequeueCount><MessageText>{text}</MessageText></QueueMessage>"
                        )
                    })
                    .unwrap_or_default();
                Answer::ok(format!("<QueueMessagesList>{messages}</QueueMessagesList>"))
            }
            "DELETE" => Answer::status(204),
            _ => Answer::status(403).with("x-ms-error-code", "AuthorizationPermissionMismatch"),
        })
    }

    #[tokio::test]
    async fn without_the_right_to_renew_messages_are_leased_for_long() {
        let server = processor();
        let settings = StorageSettings::of_account("acct").with_key(BASE64_STANDARD.encode("key"));
        let client = client(&[], &HttpSettings::default());
        let queue = Queue::at(&client, &settings, &format!("{}/acct/incidents", server.url())).unwrap();
        let settings = QueueSettings { visibility: Duration::from_mins(5), ..SETTINGS };
        let source = source(&queue, settings);
        let mut deliveries = Vec::new();
        for _ in 0..2 {
            deliveries.push(arrival(&source).await);
        }
        for delivery in &mut deliveries {
            assert!(delivery.renew_every > Duration::from_mins(5));
            assert_eq!(source.renew(delivery).await.unwrap(), Lease::Held);
        }
        source.acknowledge(&deliveries[0]).await.unwrap();
        source.release(&deliveries[1], Duration::ZERO).await.unwrap();
        let asked: Vec<_> =
            server.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect();
        assert_eq!(
            asked,
            [
                "GET /acct/incidents/messages?numofmessages=1&visibilitytimeout=3600",
                "PUT /acct/incidents/messages/id-1?popreceipt=a%2B%2F%3D&visibilitytimeout=300",
                "GET /acct/incidents/messages?numofmessages=1&visibilitytimeout=3600",
                "DELETE /acct/incidents/messages/id-1?popreceipt=a%2B%2F%3D",
            ]
        );
    }
}
