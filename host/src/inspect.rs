//! What a component says of itself, without compiling it: what it imports and
//! exports, and how much of the pool one instance of it takes.

use std::fmt;

use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentOuterAliasKind, Encoding, Instance, MemoryType, Parser, Payload, TableType, Validator,
    WasmFeatures,
};

/// What is known of a component.
pub struct Outline {
    /// The names of its imports, with their versions.
    pub imports: Vec<String>,
    /// Likewise, of its exports.
    pub exports: Vec<String>,
    /// What each instance takes.
    pub needs: Needs,
}

/// What one instance takes. Sums of hostile components stay at the largest
/// number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Instances of core modules.
    pub core_instances: u32,
    /// Memories of all of them.
    pub memories: u32,
    /// Tables of all of them.
    pub tables: u32,
    /// Bytes that all memories start with.
    pub memory: u64,
    /// Memories of the module that has the most.
    pub module_memories: u32,
    /// Tables of the module that has the most.
    pub module_tables: u32,
    /// Elements that the largest table starts with.
    pub table_elements: u64,
}

/// Why bytes are no component that can be served.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotAComponent {
    /// Not WebAssembly at all, or damaged.
    Malformed(String),
    /// WebAssembly, but a module.
    CoreModule,
    /// It is put together in a way that this crate does not follow.
    Unsupported,
}

impl std::error::Error for NotAComponent {}

impl fmt::Display for NotAComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "it is not WebAssembly, or damaged: {why}"),
            Self::CoreModule => write!(
                f,
                "it is a core module: make a component of it with `wasm-tools component new`"
            ),
            Self::Unsupported => write!(
                f,
                "it takes or hands out modules or components: join them into one with `wac`"
            ),
        }
    }
}

impl From<wasmparser::BinaryReaderError> for NotAComponent {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error.message().to_owned())
    }
}

/// Reads a component from end to end; it is not validated.
pub fn inspect(component: &[u8]) -> Result<Outline, NotAComponent> {
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(component) {
        reading.payload(payload?)?;
    }
    Ok(Outline {
        imports: reading.imports,
        exports: reading.exports,
        needs: reading.needs,
    })
}

/// Whether a component has asynchronous functions, streams or futures, as WASI
/// 0.3 does: whether it is not valid without them. What is in its functions does
/// not matter.
pub fn is_async(component: &[u8]) -> bool {
    let features = WasmFeatures::all().difference(WasmFeatures::CM_ASYNC);
    let mut validator = Validator::new_with_features(features);
    !Parser::new(0)
        .parse_all(component)
        .all(|payload| payload.is_ok_and(|payload| validator.payload(&payload).is_ok()))
}

#[derive(Default)]
struct Reading {
    /// From the outermost component to what is being read.
    frames: Vec<Frame>,
    imports: Vec<String>,
    exports: Vec<String>,
    /// The whole component's, once it has been read.
    needs: Needs,
}

/// A module or component that is being read.
struct Frame {
    encoding: Encoding,
    /// What one instance of it takes, as far as it has been read.
    needs: Needs,
    /// What instances of its modules take, in the order of their indices.
    modules: Vec<Needs>,
    /// Likewise, of its components.
    components: Vec<Needs>,
}

impl Reading {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), NotAComponent> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding)?,
            Payload::End(_) => self.end()?,
            Payload::MemorySection(section) => {
                for memory in section {
                    self.top()?.add_memory(memory?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.top()?.add_table(table?.ty);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    self.top()?.add_core_instance(&instance?)?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    self.top()?.add_instance(&instance?)?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.alias(&alias?)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.import(&import?)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.export(&export?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), NotAComponent> {
        if self.frames.is_empty() && encoding == Encoding::Module {
            return Err(NotAComponent::CoreModule);
        }
        self.frames.push(Frame::new(encoding));
        Ok(())
    }

    fn end(&mut self) -> Result<(), NotAComponent> {
        let Frame {
            encoding, needs, ..
        } = self.frames.pop().ok_or(NotAComponent::Unsupported)?;
        match (self.frames.last_mut(), encoding) {
            (None, _) => self.needs = needs,
            (Some(parent), Encoding::Module) => parent.modules.push(needs),
            (Some(parent), Encoding::Component) => parent.components.push(needs),
        }
        Ok(())
    }

    fn top(&mut self) -> Result<&mut Frame, NotAComponent> {
        self.frames.last_mut().ok_or(NotAComponent::Unsupported)
    }

    /// Something of an outer component gets an index in this one too.
    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), NotAComponent> {
        match *alias {
            ComponentAlias::Outer { kind, count, index } => {
                let outer = self.frames.iter().rev().nth(count as usize);
                let outer = outer.ok_or(NotAComponent::Unsupported)?;
                match kind {
                    ComponentOuterAliasKind::CoreModule => {
                        let module = get(&outer.modules, index)?;
                        self.top()?.modules.push(module);
                    }
                    ComponentOuterAliasKind::Component => {
                        let component = get(&outer.components, index)?;
                        self.top()?.components.push(component);
                    }
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => {}
                }
                Ok(())
            }
            ComponentAlias::InstanceExport { kind, .. } => refuse_code(kind),
            ComponentAlias::CoreInstanceExport { .. } => Ok(()),
        }
    }

    fn import(&mut self, import: &ComponentImport<'_>) -> Result<(), NotAComponent> {
        refuse_code(import.ty.kind())?;
        if self.frames.len() == 1 {
            let names = [Some(import.name.name), import.name.implements];
            let names = names.into_iter().flatten();
            self.imports.extend(names.map(str::to_owned));
        }
        Ok(())
    }

    fn export(&mut self, export: &ComponentExport<'_>) -> Result<(), NotAComponent> {
        refuse_code(export.kind)?;
        if self.frames.len() == 1 {
            self.exports.push(export.name.name.to_owned());
        }
        Ok(())
    }
}

impl Frame {
    fn new(encoding: Encoding) -> Self {
        let needs = Needs {
            // A component's instance is what is instantiated in it.
            core_instances: u32::from(encoding == Encoding::Module),
            ..Needs::default()
        };
        Self {
            encoding,
            needs,
            modules: Vec::new(),
            components: Vec::new(),
        }
    }

    fn add_memory(&mut self, memory: MemoryType) {
        let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
        let needs = &mut self.needs;
        needs.memories = needs.memories.saturating_add(1);
        needs.module_memories = needs.memories;
        let bytes = memory.initial.saturating_mul(page);
        needs.memory = needs.memory.saturating_add(bytes);
    }

    fn add_table(&mut self, table: TableType) {
        let needs = &mut self.needs;
        needs.tables = needs.tables.saturating_add(1);
        needs.module_tables = needs.tables;
        needs.table_elements = needs.table_elements.max(table.initial);
    }

    fn add_core_instance(&mut self, instance: &Instance<'_>) -> Result<(), NotAComponent> {
        if let Instance::Instantiate { module_index, .. } = instance {
            self.needs.add(get(&self.modules, *module_index)?);
        }
        Ok(())
    }

    fn add_instance(&mut self, instance: &ComponentInstance<'_>) -> Result<(), NotAComponent> {
        if let ComponentInstance::Instantiate {
            component_index, ..
        } = instance
        {
            self.needs.add(get(&self.components, *component_index)?);
        }
        Ok(())
    }
}

impl Needs {
    fn add(&mut self, other: Self) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.memory = self.memory.saturating_add(other.memory);
        self.module_memories = self.module_memories.max(other.module_memories);
        self.module_tables = self.module_tables.max(other.module_tables);
        self.table_elements = self.table_elements.max(other.table_elements);
    }
}

fn get(needs: &[Needs], index: u32) -> Result<Needs, NotAComponent> {
    let needs = needs.get(index as usize).copied();
    needs.ok_or_else(|| NotAComponent::Malformed("an index is out of bounds".into()))
}

/// What an instance of a module takes is not known where it comes from outside.
fn refuse_code(kind: ComponentExternalKind) -> Result<(), NotAComponent> {
    match kind {
        ComponentExternalKind::Module | ComponentExternalKind::Component => {
            Err(NotAComponent::Unsupported)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{DEMO, MANAGER, MIDDLEWARE};
    use crate::{Composition, Grant};

    #[test]
    fn a_composed_component_needs_what_its_parts_need() {
        let demo = inspect(DEMO).expect("a component").needs;
        let manager = inspect(MANAGER).expect("a component").needs;
        assert!(demo.core_instances > 0 && demo.memories == 1 && demo.memory > 0);
        let mut sum = demo;
        sum.add(manager);
        let both = Composition::new(DEMO, MANAGER).grant(Grant::Admin);
        let both = both.compose().expect("they fit");
        assert_eq!(inspect(&both).expect("a component").needs, sum);
    }

    #[test]
    fn what_is_for_wasi_0_3_is_async() {
        assert!(!is_async(MANAGER) && !is_async(DEMO) && is_async(MIDDLEWARE));
    }

    #[test]
    fn what_is_no_component_is_said_to_be_none() {
        let refusal = |bytes: &[u8]| inspect(bytes).err().expect("refused");
        let module = b"\0asm\x01\0\0\0";
        assert!(matches!(refusal(module), NotAComponent::CoreModule));
        for bytes in [&b""[..], b"\0asm", b"<html>", &MANAGER[..MANAGER.len() - 1]] {
            assert!(matches!(refusal(bytes), NotAComponent::Malformed(_)));
        }
    }
}
