//! The list of incidents. A page ends with an incident, and the next begins with whatever then comes after it: what changes
//! meanwhile shifts no page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::bad_request;
use crate::azure::call::{Call, Played};
use crate::azure::filter::{Filter, Order};
use crate::azure::paging::{bad_token, next_link, reply};
use crate::azure::world::World;

const PER_PAGE: usize = 50;
const MOST_PER_PAGE: usize = 1000;
const TOKEN: &str = "$skipToken";

pub(super) fn list(world: &World, call: &Call, workspace: &str) -> Played {
    const KNOWN: [&str; 5] = ["api-version", "$filter", "$orderby", "$top", "$skiptoken"];
    if let Some((name, _)) =
        call.query.iter().find(|(name, _)| !KNOWN.contains(&name.to_lowercase().as_str()))
    {
        return Err(bad_request(&format!("The query parameter '{name}' is not supported.")));
    }
    let filter = call.query("$filter").map(Filter::parse).transpose().map_err(|why| bad_request(&why))?;
    let order = call.query("$orderby").unwrap_or("properties/createdTimeUtc desc");
    let order = Order::parse(order).map_err(|why| bad_request(&why))?;
    let size = match call.query("$top") {
        None => world.page_size.unwrap_or(PER_PAGE),
        Some(text) => text.parse().ok().filter(|top| (1..=MOST_PER_PAGE).contains(top)).ok_or_else(|| {
            bad_request(&format!("'$top' must be a number from 1 to {MOST_PER_PAGE}, not '{text}'."))
        })?,
    };
    let after = call.query(TOKEN).map(place).transpose().map_err(|()| bad_token(TOKEN))?;
    let mut found: Vec<&Value> = world
        .sentinel
        .incidents
        .iter()
        .filter(|incident| incident.workspace.eq_ignore_ascii_case(workspace))
        .map(|incident| &incident.body)
        .filter(|body| filter.as_ref().is_none_or(|filter| filter.matches(body)))
        .filter(|body| after.as_ref().is_none_or(|after| order.compare(body, after).is_gt()))
        .collect();
    found.sort_by(|left, right| order.compare(left, right));
    let more = found.len() > size;
    found.truncate(size);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| next_link(world, call, TOKEN, &URL_SAFE_NO_PAD.encode(order.place(last).to_string())));
    let value: Vec<Value> = found.into_iter().cloned().collect();
    Ok(reply(&value, next))
}

fn place(token: &str) -> Result<Value, ()> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(drop)?;
    serde_json::from_slice(&bytes).map_err(drop)
}
