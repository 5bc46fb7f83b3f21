//! The inventory.

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Expected, JsonApi, rows, text};

/// The list price of a resource, a JSON number at DigitalOcean.
fn list_price(resource: &Value) -> Option<Decimal> {
    let places = ["/attrs/size/price_monthly", "/attrs/plan_price_per_month"];
    let price = places.iter().find_map(|place| resource.pointer(place))?;
    Some(price.to_string().trim_matches('"').parse().unwrap())
}

impl JsonApi<'_> {
    pub(super) async fn inventory(&self, address: &str) -> Expected {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let list = self.get(&format!("/api/v1/inventory?{query}")).await;
        let mut expected = Expected::default();
        for resource in rows(&list) {
            if let Some(price) = list_price(resource) {
                expected.row(text(&resource["name"]), [price]);
            }
        }
        expected
    }

    pub(super) async fn resource(&self, id: &str) -> Expected {
        let resource = self.get(&format!("/api/v1/inventory/{id}")).await;
        let mut expected = Expected::default();
        expected.others(list_price(&resource["data"]));
        self.add_costs_of_resource(id, &mut expected).await;
        expected
    }
}
