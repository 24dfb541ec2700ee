//! The outline of a component, which is read without compiling it: its imports and exports,
//! and the resources that an instance needs.

use thiserror::Error;
use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentOuterAliasKind, Encoding, Instance, KnownCustom, MemoryType, Parser, Payload,
    ProducersSectionReader, TableType, Validator, WasmFeatures,
};

/// The outline of a component.
pub struct Outline {
    /// The names of its imports, with their versions.
    pub imports: Vec<String>,
    /// The names of its exports, with their versions.
    pub exports: Vec<String>,
    /// The resources that each instance needs.
    pub needs: Needs,
    /// The languages and tools that made the component, as far as it names them.
    pub producers: Vec<String>,
}

impl Outline {
    /// Returns whether the component handles HTTP requests, for any version of WASI.
    pub fn is_handler(&self) -> bool {
        let handlers = ["wasi:http/incoming-handler@", "wasi:http/handler@"];
        let is_handler = |name: &String| handlers.iter().any(|start| name.starts_with(start));
        self.exports.iter().any(is_handler)
    }

    /// Returns whether the component was made from JavaScript by componentize-js, which jco uses.
    pub fn is_javascript(&self) -> bool {
        self.producers.iter().any(|name| name == "ComponentizeJS")
    }

    /// Returns whether random numbers of the component are the same in each of its instances.
    /// That is so in JavaScript without `wasi:random/random`, which jco leaves out with
    /// `--disable random`.
    pub fn has_constant_random_numbers(&self) -> bool {
        let imports_random = |name: &String| name.starts_with("wasi:random/random@");
        self.is_javascript() && !self.imports.iter().any(imports_random)
    }
}

/// The resources that one instance needs. Sums saturate, so that a hostile component cannot
/// make them overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The number of core module instances.
    pub core_instances: u32,
    /// The number of memories of all modules.
    pub memories: u32,
    /// The number of tables of all modules.
    pub tables: u32,
    /// The initial size of all memories together, in bytes.
    pub memory: u64,
    /// The largest number of memories that a module has.
    pub module_memories: u32,
    /// The largest number of tables that a module has.
    pub module_tables: u32,
    /// The initial number of elements of the largest table.
    pub table_elements: u64,
}

/// Why bytes are not a component that can be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotAComponent {
    /// There are no bytes.
    #[error("it is empty: build the component again")]
    Empty,
    /// The bytes are WebAssembly in the text format.
    #[error(
        "it is WebAssembly in the text format: convert it with `wasm-tools parse FILE -o \
         application.wasm`"
    )]
    TextFormat,
    /// The bytes are an executable of Linux.
    #[error(
        "it is an executable of this system: build it for WebAssembly, as with `cargo build \
         --target wasm32-wasip2`"
    )]
    Executable,
    /// The bytes are a text or anything else.
    #[error("it is not WebAssembly: name the file that the build of the application wrote")]
    NotWebAssembly,
    /// The bytes are WebAssembly, and incomplete or damaged.
    #[error("it is incomplete or damaged ({0}): build it again, or copy it again")]
    Malformed(String),
    /// The bytes are a core module.
    #[error(
        "it is a core module: build it for the target wasm32-wasip2, or make a component of it \
         with `wasm-tools component new`"
    )]
    CoreModule,
    /// The component imports or exports modules or components.
    #[error("it takes or hands out modules or components: join them into one with `wac`")]
    Unsupported,
}

impl NotAComponent {
    /// Returns what bytes are that do not begin as WebAssembly.
    fn other(bytes: &[u8]) -> Self {
        let text = bytes.trim_ascii_start();
        if bytes.is_empty() {
            Self::Empty
        } else if bytes.starts_with(b"\x7fELF") {
            Self::Executable
        } else if [&b"(component"[..], b"(module", b";;", b"(;"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            Self::TextFormat
        } else {
            Self::NotWebAssembly
        }
    }
}

impl From<wasmparser::BinaryReaderError> for NotAComponent {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error.message().to_owned())
    }
}

/// Reads the outline of a component. The component is not validated.
///
/// # Errors
///
/// [`NotAComponent`] if the bytes are not a component, or one of an unsupported form.
pub fn inspect(component: &[u8]) -> Result<Outline, NotAComponent> {
    if !component.starts_with(b"\0asm") {
        return Err(NotAComponent::other(component));
    }
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(component) {
        reading.payload(payload?)?;
    }
    Ok(Outline {
        imports: reading.imports,
        exports: reading.exports,
        needs: reading.needs,
        producers: reading.producers,
    })
}

/// Returns whether a component uses asynchronous functions, streams or futures, as WASI 0.3
/// does: whether it is invalid without that feature. The code in its functions does not
/// matter.
pub fn is_async(component: &[u8]) -> bool {
    let features = WasmFeatures::all().difference(WasmFeatures::CM_ASYNC);
    let mut validator = Validator::new_with_features(features);
    !Parser::new(0)
        .parse_all(component)
        .all(|payload| payload.is_ok_and(|payload| validator.payload(&payload).is_ok()))
}

#[derive(Default)]
struct Reading {
    /// The nested components, from the outermost to the one that is being read.
    frames: Vec<Frame>,
    imports: Vec<String>,
    exports: Vec<String>,
    producers: Vec<String>,
    /// The needs of the whole component, once it has been read.
    needs: Needs,
}

/// A module or component that is being read.
struct Frame {
    encoding: Encoding,
    /// The needs of one instance, as far as it has been read.
    needs: Needs,
    /// The needs of its modules, in the order of their indices.
    modules: Vec<Needs>,
    /// The needs of its components, in the order of their indices.
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
            Payload::CustomSection(section) if self.frames.len() == 1 => {
                if let KnownCustom::Producers(producers) = section.as_known() {
                    self.add_producers(producers);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds what the component says of its tools. An error in that does not matter.
    fn add_producers(&mut self, producers: ProducersSectionReader<'_>) {
        for field in producers.into_iter().flatten() {
            let values = field.values.into_iter().flatten();
            self.producers
                .extend(values.map(|value| value.name.to_owned()));
        }
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

    /// Gives a module or component of an outer component an index in this one, too.
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
            // A component's instance needs what is instantiated in it.
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
    use crate::{Composition, Grant};
    use session3_components::{DEMO, MANAGER, MIDDLEWARE};

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
        for bytes in [&b"\0asm"[..], &MANAGER[..MANAGER.len() - 1]] {
            assert!(matches!(refusal(bytes), NotAComponent::Malformed(_)));
        }
        assert!(matches!(refusal(b""), NotAComponent::Empty));
        assert!(matches!(refusal(b"<html>"), NotAComponent::NotWebAssembly));
        assert!(matches!(refusal(b"\x7fELF\x02"), NotAComponent::Executable));
        for text in ["(component)", "\n (module)", ";; a comment"] {
            let refusal = refusal(text.as_bytes());
            assert!(matches!(refusal, NotAComponent::TextFormat), "{text}");
        }
    }
}
