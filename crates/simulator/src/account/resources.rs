//! Creating, changing and removing resources of any kind by our word for it.

use serde_json::Value;
use uuid::Uuid;

use super::Account;
use crate::{
    bodies::New,
    identifiers::kind_and_id,
    kinds::{self, KINDS, Kind, SNAPSHOT_IMAGE},
    stock::{Parent, Resource},
};

/// The kind that a word of ours stands for, which must be one of [`Account::resource_kinds`].
fn kind_named(word: &str) -> &'static Kind {
    kinds::named(word).unwrap_or_else(|| panic!("{word:?} is no kind of resource"))
}

/// The members of projects that no list of the API tells about.
const BUCKET: &str = "spaces_bucket";

impl Account {
    /// The words for kinds of resources that the functions about resources know.
    pub fn resource_kinds() -> impl Iterator<Item = &'static str> {
        let words = KINDS.iter().map(|kind| kind.word);
        let listed = words.filter(|word| *word != SNAPSHOT_IMAGE);
        ["droplet", "volume", "dns_zone", "reserved_ip", BUCKET]
            .into_iter()
            .chain(listed)
    }

    /// Creates a resource and returns DigitalOcean's id for it as text. Kinds that projects list go to the default
    /// project. For `reserved_ip` and `reserved_ipv6` the name is the address; for `dns_zone`, `registry` and
    /// `spaces_bucket` it is the id. A bucket has no listing in the API: it becomes a member of a project, and S3
    /// lists it in its region. What cannot be without a parent gets the one created last: a `database_replica` a
    /// cluster, a `dns_record` a zone (either is created if there is none), a `droplet_backup` a droplet. A `snapshot`
    /// is one of a volume that is gone.
    ///
    /// Panics when `kind` is not one of [`Account::resource_kinds`].
    pub fn add_resource(&mut self, kind: &str, name: &str, region: &str) -> String {
        match kind {
            "droplet" => return self.add_droplet(name, "s-1vcpu-1gb", region).to_string(),
            "volume" => return self.add_volume(name, region, 100).to_string(),
            "dns_zone" => self.add_domain(name),
            "reserved_ip" => self.add_reserved_ip(name, region, None),
            BUCKET => self.insert_bucket(name, region),
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

    /// Creates a resource made of, or belonging to, another.
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
            project: self.home_of_new(),
            parent,
        };
        if let Some(urn) = kind.urn(&new.id) {
            self.assign_new(&urn);
        }
        self.insert_new(kind, &new);
        if let Some(parent) = &new.parent {
            self.tell_droplet(kind.word, &new.id, parent);
        }
        if kind.word == "snapshot" && new.id.parse::<u64>().is_ok() {
            self.insert_new(kind_named(SNAPSHOT_IMAGE), &new);
        }
        new.id
    }

    fn insert_new(&mut self, kind: &'static Kind, new: &New<'_>) {
        let resource = Resource::new(new.id.clone(), new.parent.clone(), &kind.body(new));
        self.stock.insert(kind.word, resource);
    }

    /// A droplet's body names its backups and snapshots.
    fn tell_droplet(&mut self, kind: &str, id: &str, parent: &Parent) {
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

    /// Deletes a resource; it leaves its project too. What DigitalOcean deletes with it goes as well: a cluster's
    /// replicas, a Kubernetes cluster's node droplets, a droplet's backups, a zone's records. A snapshot of a
    /// droplet is gone from the images too. Does nothing when there is none with this id.
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
        if kind.word == "kubernetes_cluster" {
            for node in self.kubernetes_nodes(id) {
                self.remove_droplet(node);
            }
        }
        if self.stock.remove(kind.word, id).is_none() {
            return;
        }
        if let Some(urn) = kind.urn(id) {
            self.remove_member(&urn);
        }
        match kind.word {
            "database_cluster" => self.remove_children("database_replica", kind.word, id),
            "snapshot" => {
                self.stock.remove(SNAPSHOT_IMAGE, id);
            }
            _ => {}
        }
        if let Ok(id) = id.parse::<u64>() {
            for droplet in self.droplets.iter_mut().chain(&mut self.gpu_droplets) {
                match kind.word {
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

    /// Gives a resource another name. Does nothing when there is none with this id, and nothing for kinds whose name
    /// is their id.
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
                    self.set_resource_field(kind.word, id, kind.name, new_name.into());
                }
            }
        }
    }

    /// Sets a field of a body: a key such as `tags` or a JSON pointer such as `/node_pools/0/count`. A last part
    /// that is not there yet is added. Of droplets `name`, `size_slug`, `status` and `tags` can be set, of volumes
    /// `name`, `size_gigabytes` and `tags`, of DNS zones `ttl`. Does nothing when there is none with this id.
    pub fn set_resource_field(&mut self, kind: &str, id: &str, field: &str, value: Value) {
        match kind {
            "droplet" | "volume" | "dns_zone" => self.set_typed_field(kind, id, field, &value),
            "reserved_ip" | BUCKET => {}
            _ => {
                let word = kind_named(kind).word;
                self.stock
                    .change(word, id, |body| put(body, field, value.clone()));
                if word == "snapshot" {
                    self.stock
                        .change(SNAPSHOT_IMAGE, id, |body| put_known(body, field, value));
                }
            }
        }
    }

    /// Takes a field out of a body: DigitalOcean leaves out what it has nothing to say about. Does nothing for kinds
    /// with a type of their own.
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
    /// Panics when `kind` is not one of [`Account::resource_kinds`].
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
            _ => ids(self.stock.of(kind_named(kind).word), |known| {
                known.id.clone()
            }),
        }
    }

    /// A resource's whole body, for kinds that [`Account::set_resource_field`] can change freely.
    pub fn resource_body(&self, kind: &str, id: &str) -> Option<Value> {
        Some(self.stock.find(kind, id)?.body())
    }

    /// The URN by which projects call a resource; nothing for kinds that they do not list.
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

    /// Moves a resource to a project, whether projects list its kind (then this is [`Account::assign`] with its URN)
    /// or only its body tells (`genai_agent`, `genai_knowledge_base`, `vector_database`, `byoip_prefix`,
    /// `nat_gateway`). Does nothing for kinds that have no project.
    pub fn set_resource_project(&mut self, kind: &str, id: &str, project: Uuid) {
        if let Some(urn) = Self::resource_urn(kind, id) {
            self.assign(project, &urn);
        } else if kind_named(kind).tells_its_project() {
            self.set_resource_field(kind, id, "project_id", project.to_string().into());
        }
    }

    /// Moves a member of any kind to a project by its URN: [`Account::assign`] under another name.
    pub fn move_to_project(&mut self, project: Uuid, urn: &str) {
        self.assign(project, urn);
    }

    /// Puts whatever `create` creates into a project, as if it were the default one.
    pub fn create_in<R>(&mut self, project: Uuid, create: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.new_home.replace(project);
        let created = create(self);
        self.new_home = before;
        created
    }

    /// Writes into the body of a member which project it is in now.
    pub(crate) fn tell_member(&mut self, urn: &str, project: Uuid) {
        let (word, id) = kind_and_id(urn);
        if let Some(kind) = kinds::of_urn_word(word).filter(|kind| kind.tells_its_project()) {
            self.stock.change(kind.word, id, |body| {
                put(body, "project_id", project.to_string().into());
            });
        }
    }

    /// What only its body says is in a project goes to the default one with the project's members.
    pub(crate) fn forget_project(&mut self, project: Uuid) {
        let (gone, default) = (project.to_string(), self.default_project().to_string());
        for kind in KINDS.iter().filter(|kind| kind.home == kinds::Home::Tells) {
            self.stock.change_all(kind.word, |body| {
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

/// Sets what a key or a JSON pointer names, unless what should hold it is not there.
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

/// Sets a key that is there already.
fn put_known(body: &mut Value, field: &str, value: Value) {
    if let Some(known) = body.get_mut(field.trim_start_matches('/')) {
        *known = value;
    }
}
