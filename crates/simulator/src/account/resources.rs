//! Creating, changing and removing resources of any kind.

use serde_json::Value;
use uuid::Uuid;

use super::Account;
use crate::{
    bodies::New,
    identifiers::kind_and_id,
    kinds::{self, KINDS, Kind, Membership, SNAPSHOT_IMAGE},
    stock::{Parent, Resource},
};

/// The kind with a slug of [`Account::resource_kinds`]; panics for others.
fn kind_named(slug: &str) -> &'static Kind {
    kinds::named(slug).unwrap_or_else(|| panic!("invalid kind of resource: {slug:?}"))
}

/// Buckets, which are project members but have no list in the API.
const BUCKET: &str = "spaces_bucket";

impl Account {
    /// The slugs of the kinds that the functions for resources accept.
    pub fn resource_kinds() -> impl Iterator<Item = &'static str> {
        let slugs = KINDS.iter().map(|kind| kind.slug);
        let listed = slugs.filter(|slug| *slug != SNAPSHOT_IMAGE);
        ["droplet", "volume", "dns_zone", "reserved_ip", BUCKET]
            .into_iter()
            .chain(listed)
    }

    /// Creates a resource and returns its id as text. Kinds that projects list become members of
    /// the default project. The name is the address for `reserved_ip` and `reserved_ipv6`, and the
    /// id for `dns_zone`, `registry` and `spaces_bucket`. A bucket has no list in the API: it is a
    /// project member, and S3 lists it. Kinds that need a parent use the newest one: a
    /// `database_replica` a cluster, a `dns_record` a zone (created if there is none), a
    /// `droplet_backup` a droplet. A `snapshot` is of a deleted volume.
    ///
    /// Panics if `kind` is unknown.
    pub fn add_resource(&mut self, kind: &str, name: &str, region: &str) -> String {
        match kind {
            "droplet" => return self.add_droplet(name, "s-1vcpu-1gb", region).to_string(),
            "volume" => return self.add_volume(name, region, 100).to_string(),
            "dns_zone" => self.add_domain(name),
            "reserved_ip" => self.add_reserved_ip(name, region, None),
            BUCKET => self.add_bucket(name, region),
            _ => {
                let parent = self.usual_parent(kind, region);
                return self.add_child(kind, name, region, parent);
            }
        }
        name.to_owned()
    }

    fn usual_parent(&mut self, kind: &str, region: &str) -> Option<Parent> {
        let word = match kind {
            "droplet_backup" => "droplet",
            "database_replica" => "database_cluster",
            "dns_record" => "dns_zone",
            "nfs_snapshot" => "nfs_share",
            _ => return None,
        };
        let id = self.resource_ids(word).pop();
        let id = id.or_else(|| match word {
            "database_cluster" => Some(self.add_resource(word, "primary", region)),
            "dns_zone" => Some(self.add_resource(word, "zone.example", region)),
            _ => None,
        });
        Some(Parent::new(word, &id?))
    }

    /// Creates a resource with a parent.
    pub(crate) fn add_child(
        &mut self,
        kind: &str,
        name: &str,
        region: &str,
        parent: Option<Parent>,
    ) -> String {
        let kind = kind_named(kind);
        let number = self.next_number();
        let new = New {
            id: kind.id(number, name, parent.as_ref()),
            name,
            region,
            number,
            created_at: self.next_moment(),
            project: self.project_of_new(),
            parent,
        };
        if let Some(urn) = kind.urn(&new.id) {
            self.assign_new(&urn);
        }
        self.insert_new(kind, &new);
        if let Some(parent) = &new.parent {
            self.list_in_droplet(kind.slug, &new.id, parent);
        }
        if kind.slug == "snapshot" && new.id.parse::<u64>().is_ok() {
            self.insert_new(kind_named(SNAPSHOT_IMAGE), &new);
        }
        new.id
    }

    fn insert_new(&mut self, kind: &'static Kind, new: &New<'_>) {
        let resource = Resource::new(new.id.clone(), new.parent.clone(), &kind.body(new));
        self.stock.insert(kind.slug, resource);
    }

    /// Adds a backup or snapshot to the lists in its droplet's body.
    fn list_in_droplet(&mut self, kind: &str, id: &str, parent: &Parent) {
        let (Ok(id), Ok(droplet)) = (id.parse(), parent.id.parse()) else {
            return;
        };
        if parent.kind == "droplet" {
            self.change_droplet(droplet, |droplet| match kind {
                "snapshot" => droplet.snapshot_ids.push(id),
                _ => droplet.backup_ids.push(id),
            });
        }
    }

    /// Deletes a resource and its project membership, and all that DigitalOcean deletes with it: a
    /// cluster's replicas, a Kubernetes cluster's node droplets, a droplet's backups, a zone's
    /// records, the image of a droplet's snapshot. Does nothing if the id is unknown.
    pub fn remove_resource(&mut self, kind: &str, id: &str) {
        match kind {
            "droplet" => drop(id.parse().map(|id| self.remove_droplet(id))),
            "volume" => drop(Uuid::parse_str(id).map(|id| self.remove_volume(id))),
            "dns_zone" => self.remove_domain(id),
            "reserved_ip" => self.remove_reserved_ip(id),
            BUCKET => self.remove_bucket(id),
            _ => self.remove_listed(kind_named(kind), id),
        }
    }

    fn remove_listed(&mut self, kind: &'static Kind, id: &str) {
        if kind.slug == "kubernetes_cluster" {
            for node in self.kubernetes_nodes(id) {
                self.remove_droplet(node);
            }
        }
        if self.stock.remove(kind.slug, id).is_none() {
            return;
        }
        if let Some(urn) = kind.urn(id) {
            self.remove_member(&urn);
        }
        match kind.slug {
            "database_cluster" => self.remove_children("database_replica", kind.slug, id),
            "snapshot" => {
                self.stock.remove(SNAPSHOT_IMAGE, id);
            }
            _ => {}
        }
        if let Ok(id) = id.parse::<u64>() {
            for droplet in self.droplets.iter_mut().chain(&mut self.gpu_droplets) {
                match kind.slug {
                    "snapshot" => droplet.snapshot_ids.retain(|&known| known != id),
                    "droplet_backup" => droplet.backup_ids.retain(|&known| known != id),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn remove_children(&mut self, kind: &str, parent: &'static str, id: &str) {
        for child in self.stock.children(kind, &Parent::new(parent, id)) {
            self.stock.remove(kind, &child);
        }
    }

    /// Renames a resource. Does nothing if the id is unknown or the kind's name is its id.
    pub fn rename_resource(&mut self, kind: &str, id: &str, new_name: &str) {
        match kind {
            "droplet" => drop(id.parse().map(|id| self.rename_droplet(id, new_name))),
            "volume" => drop(Uuid::parse_str(id).map(|id| {
                self.change_volume(id, |volume| new_name.clone_into(&mut volume.name));
            })),
            "dns_zone" | "reserved_ip" | BUCKET => {}
            _ => {
                let kind = kind_named(kind);
                if !kind.name.is_empty() {
                    self.set_resource_field(kind.slug, id, kind.name, new_name.into());
                }
            }
        }
    }

    /// Sets a field of a body: a key such as `tags` or a JSON pointer such as
    /// `/node_pools/0/count`. Adds a missing last part. Supports `name`, `size_slug`, `status` and
    /// `tags` of droplets, `name`, `size_gigabytes` and `tags` of volumes, and `ttl` of DNS zones.
    /// Does nothing if the id is unknown.
    pub fn set_resource_field(&mut self, kind: &str, id: &str, field: &str, value: Value) {
        match kind {
            "droplet" | "volume" | "dns_zone" => self.set_typed_field(kind, id, field, &value),
            "reserved_ip" | BUCKET => {}
            _ => {
                let slug = kind_named(kind).slug;
                self.stock
                    .change(slug, id, |body| put(body, field, value.clone()));
                if slug == "snapshot" {
                    self.stock
                        .change(SNAPSHOT_IMAGE, id, |body| put_known(body, field, value));
                }
            }
        }
    }

    /// Removes a field from a body. Does nothing for kinds with a separate type.
    pub fn remove_resource_field(&mut self, kind: &str, id: &str, key: &str) {
        self.stock.change(kind, id, |body| {
            if let Some(fields) = body.as_object_mut() {
                fields.remove(key);
            }
        });
    }

    fn set_typed_field(&mut self, kind: &str, id: &str, field: &str, value: &Value) {
        let text = value.as_str().unwrap_or_default().to_owned();
        let number = || u32::try_from(value.as_u64().unwrap_or_default()).unwrap_or(u32::MAX);
        let tags = || serde_json::from_value(value.clone()).unwrap_or_default();
        match kind {
            "droplet" => {
                self.change_droplet(id.parse().unwrap_or_default(), |droplet| match field {
                    "name" => droplet.name = text,
                    "size" | "size_slug" => droplet.size = text,
                    "status" => droplet.status = text,
                    "tags" => droplet.tags = tags(),
                    _ => panic!("the field {field} of a droplet cannot be set"),
                });
            }
            "volume" => {
                self.change_volume(
                    Uuid::parse_str(id).unwrap_or_default(),
                    |volume| match field {
                        "name" => volume.name = text,
                        "size_gigabytes" => volume.size_gigabytes = number(),
                        "tags" => volume.tags = tags(),
                        _ => panic!("the field {field} of a volume cannot be set"),
                    },
                );
            }
            _ => {
                assert_eq!(field, "ttl", "the only field of a domain that can be set");
                self.set_domain_ttl(id, number());
            }
        }
    }

    /// The ids of a kind's resources, in the order of their listing.
    ///
    /// Panics if `kind` is unknown.
    pub fn resource_ids(&self, kind: &str) -> Vec<String> {
        match kind {
            "droplet" => {
                let all = self.droplets.iter().chain(&self.gpu_droplets);
                all.map(|droplet| droplet.id.to_string()).collect()
            }
            "volume" => ids(&self.volumes, |volume| volume.id.to_string()),
            "dns_zone" => ids(&self.domains, |domain| domain.name.clone()),
            "reserved_ip" => ids(&self.reserved_ips, |reserved| reserved.ip.clone()),
            BUCKET => {
                let members = self.projects.iter().flat_map(|project| &project.members);
                let split = members.map(|member| kind_and_id(&member.urn));
                let buckets = split.filter(|(word, _)| *word == "space");
                buckets.map(|(_, name)| name.to_owned()).collect()
            }
            _ => ids(self.stock.of(kind_named(kind).slug), |known| {
                known.id.clone()
            }),
        }
    }

    /// A resource's body, for the kinds without a separate type.
    pub fn resource_body(&self, kind: &str, id: &str) -> Option<Value> {
        Some(self.stock.find(kind, id)?.body())
    }

    /// The URN of a resource; `None` for kinds that projects do not list.
    pub fn resource_urn(kind: &str, id: &str) -> Option<String> {
        let word = match kind {
            "droplet" | "volume" => kind,
            "dns_zone" => "domain",
            "reserved_ip" => "floatingip",
            BUCKET => "space",
            _ => return kind_named(kind).urn(id),
        };
        Some(format!("do:{word}:{id}"))
    }

    /// Moves a resource to a project: by [`Account::assign`] if projects list its kind, or by the
    /// `project_id` in its body (`genai_agent`, `genai_knowledge_base`, `vector_database`,
    /// `byoip_prefix`, `nat_gateway`). Does nothing for kinds without a project.
    pub fn set_resource_project(&mut self, kind: &str, id: &str, project: Uuid) {
        if let Some(urn) = Self::resource_urn(kind, id) {
            self.assign(project, &urn);
        } else if kind_named(kind).has_project_id() {
            self.set_resource_field(kind, id, "project_id", project.to_string().into());
        }
    }

    /// An alias of [`Account::assign`].
    pub fn move_to_project(&mut self, project: Uuid, urn: &str) {
        self.assign(project, urn);
    }

    /// Runs `create` with a project in the place of the default one.
    pub fn create_in<R>(&mut self, project: Uuid, create: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.project_override.replace(project);
        let created = create(self);
        self.project_override = before;
        created
    }

    /// Updates the `project_id` in a member's body.
    pub(crate) fn update_project_id(&mut self, urn: &str, project: Uuid) {
        let (word, id) = kind_and_id(urn);
        if let Some(kind) = kinds::of_urn_kind(word).filter(|kind| kind.has_project_id()) {
            self.stock.change(kind.slug, id, |body| {
                put(body, "project_id", project.to_string().into());
            });
        }
    }

    /// Moves resources that only have a `project_id` from a deleted project to the default one.
    pub(crate) fn reset_project_id(&mut self, project: Uuid) {
        let (gone, default) = (project.to_string(), self.default_project().to_string());
        for kind in KINDS
            .iter()
            .filter(|kind| kind.membership == Membership::ProjectIdOnly)
        {
            self.stock.change_all(kind.slug, |body| {
                if body["project_id"] == gone {
                    body["project_id"] = default.clone().into();
                }
            });
        }
    }
}

fn ids<T>(items: &[T], id: impl Fn(&T) -> String) -> Vec<String> {
    items.iter().map(id).collect()
}

/// Sets the value at a key or JSON pointer, if its parent exists.
pub(crate) fn put(body: &mut Value, field: &str, value: Value) {
    let pointer = if field.starts_with('/') {
        field.to_owned()
    } else {
        format!("/{field}")
    };
    let (holder, last) = pointer.rsplit_once('/').unwrap_or(("", field));
    let last = last.replace("~1", "/").replace("~0", "~");
    match body.pointer_mut(holder) {
        Some(Value::Object(object)) => drop(object.insert(last, value)),
        Some(Value::Array(items)) => {
            let place = last
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index));
            match place {
                Some(item) => *item = value,
                None => items.push(value),
            }
        }
        _ => {}
    }
}

/// Sets the value of an existing key.
fn put_known(body: &mut Value, field: &str, value: Value) {
    if let Some(known) = body.get_mut(field.trim_start_matches('/')) {
        *known = value;
    }
}
