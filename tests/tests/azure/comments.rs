//! Comments and tasks.

use super::*;

#[test]
fn a_second_write_to_an_id_replaces_the_first() {
    let (client, seeded) = Client::new(1);
    let first = client
        .put(&comment(&seeded[0], "c-1"), &json!({"properties": {"message": "one"}}))
        .expect(201)
        .json();
    let second = client
        .put(&comment(&seeded[0], "c-1"), &json!({"properties": {"message": "two"}}))
        .expect(200)
        .json();
    assert_eq!(first["properties"]["createdTimeUtc"], second["properties"]["createdTimeUtc"]);
    let comments = client.azure.comments(&seeded[0]);
    assert_eq!(comments.len(), 1);
    assert_eq!(comments[0]["properties"]["message"], "two");
    assert_eq!(client.azure.incident(&seeded[0])["properties"]["additionalData"]["commentsCount"], 1);
    assert_eq!(client.get(&comment(&seeded[0], "c-1")).expect(200).json(), second);
}

#[test]
fn a_comment_has_a_longest_length_and_an_incident_a_most() {
    let (client, seeded) = Client::new(1);
    let message = |length: usize| json!({"properties": {"message": "ü".repeat(length)}});
    client.put(&comment(&seeded[0], "c"), &message(30_000)).expect(201);
    client.put(&comment(&seeded[0], "c"), &message(30_001)).expect(400);
    client.put(&comment(&seeded[0], "c"), &message(0)).expect(400);
    for number in 1..100 {
        client.put(&comment(&seeded[0], &format!("c-{number}")), &message(1)).expect(201);
    }
    client.put(&comment(&seeded[0], "one-more"), &message(1)).expect(400);
    client.put(&comment(&seeded[0], "c"), &message(2)).expect(200);
}

#[test]
fn another_ones_comment_cannot_be_edited() {
    let (client, seeded) = Client::new(1);
    client.azure.comment_as("ann", &seeded[0], "looks bad");
    let name = client.azure.comments(&seeded[0])[0]["name"].as_str().unwrap().to_owned();
    client.put(&comment(&seeded[0], &name), &json!({"properties": {"message": "mine"}})).expect(403);
}

#[test]
fn comments_are_listed_in_pages_and_deleted() {
    let (client, seeded) = Client::new(1);
    for number in 0..3 {
        client.azure.comment_as("ann", &seeded[0], &format!("comment {number}"));
    }
    client.azure.set_page_size(2);
    let list = format!("{}/{}/comments?{VERSION}", incidents(), seeded[0]);
    let first = client.get(&list).expect(200).json();
    assert_eq!(first["value"][0]["properties"]["message"], "comment 2");
    let second = client.get(first["nextLink"].as_str().unwrap()).expect(200).json();
    assert_eq!(named(&second).len(), 1);
    let oldest = comment(&seeded[0], &named(&second)[0]);
    let delete = || client.send("DELETE", &oldest, &[], Vec::new()).unwrap();
    delete().expect(200);
    delete().expect(204);
    client.get(&oldest).expect(404);
}

#[test]
fn a_task_needs_title_and_status_and_is_replaced_by_its_id() {
    let (client, seeded) = Client::new(1);
    let task = format!("{}/{}/tasks/t-1?{VERSION}", incidents(), seeded[0]);
    client.put(&task, &json!({"properties": {"title": "look"}})).expect(400);
    client.put(&task, &json!({"properties": {"title": "look", "status": "New"}})).expect(201);
    client.put(&task, &json!({"properties": {"title": "look closer", "status": "New"}})).expect(200);
    let tasks = client.azure.tasks(&seeded[0]);
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["properties"]["title"], "look closer");
}
