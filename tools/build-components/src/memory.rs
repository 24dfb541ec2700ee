//! Enlarges the initial memory of a guest, so that it has room for the first allocations.
//!
//! Rust's allocator for WebAssembly does not use the initial memory: its first allocation
//! grows the memory. The host then has to unprotect pages, and to protect them again for
//! the next instance. These are two system calls for each memory and request, and each of
//! them stops all threads of a server. Therefore the memory starts with more pages, and a
//! function that replaces the instruction `memory.grow` hands them out first.

use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType,
    ImportSection, Instruction, MemoryType, Module, TypeSection, ValType,
};
use wasmparser as parsed;

/// The number of additional pages, of 64 KiB each. A usual request fills one of them.
const ADDITIONAL_PAGES: i32 = 4;

/// Returns the module with additional pages in its memory.
///
/// # Errors
///
/// If the module is malformed, or reads the size of its memory: the additional pages
/// would change what it does.
pub fn with_room(module: &[u8]) -> Result<Vec<u8>> {
    let mut enlarged = Module::new();
    let mut encoder = MemoryEnlarger::default();
    let parser = parsed::Parser::new(0);
    encoder
        .parse_core_module(&mut enlarged, parser, module)
        .context("the memory of the module cannot be enlarged")?;
    ensure!(
        !encoder.reads_memory_size,
        "the module has the instruction memory.size, whose result additional pages would change"
    );
    Ok(enlarged.finish())
}

/// Copies a module section by section, and enlarges its memory. The indices become known
/// as the sections are copied.
#[derive(Default)]
struct MemoryEnlarger {
    /// The index of the type of `memory.grow`.
    grow_type: u32,
    /// The index of the function that replaces `memory.grow`.
    grow_function: u32,
    /// The index of the global variable with the number of the first additional page that
    /// was not handed out yet.
    next_page_global: u32,
    /// The initial size of the memory, in pages: the number of the page behind the
    /// additional ones.
    initial_pages: i32,
    /// Whether the module has the instruction `memory.size`.
    reads_memory_size: bool,
}

type Encoded<T = ()> = Result<T, Error<Infallible>>;

impl Reencode for MemoryEnlarger {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: parsed::TypeSectionReader<'_>,
    ) -> Encoded {
        utils::parse_type_section(self, types, section)?;
        self.grow_type = types.len();
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: parsed::ImportSectionReader<'_>,
    ) -> Encoded {
        utils::parse_import_section(self, imports, section)?;
        // Guests import functions only, so this is the number of imported functions.
        self.grow_function = imports.len();
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: parsed::FunctionSectionReader<'_>,
    ) -> Encoded {
        utils::parse_function_section(self, functions, section)?;
        self.grow_function += functions.len();
        functions.function(self.grow_type);
        Ok(())
    }

    fn memory_type(&mut self, memory: parsed::MemoryType) -> Encoded<MemoryType> {
        let mut memory = utils::memory_type(self, memory);
        memory.minimum += ADDITIONAL_PAGES as u64;
        self.initial_pages = memory.minimum as i32;
        Ok(memory)
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: parsed::GlobalSectionReader<'_>,
    ) -> Encoded {
        utils::parse_global_section(self, globals, section)?;
        self.next_page_global = globals.len();
        let variable = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        let first_page = self.initial_pages - ADDITIONAL_PAGES;
        globals.global(variable, &ConstExpr::i32_const(first_page));
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: parsed::CodeSectionReader<'_>,
    ) -> Encoded {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.grow_body());
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: parsed::Operator<'a>) -> Encoded<Instruction<'a>> {
        match operator {
            parsed::Operator::MemoryGrow { .. } => Ok(Instruction::Call(self.grow_function)),
            other => {
                self.reads_memory_size |= matches!(other, parsed::Operator::MemorySize { .. });
                utils::instruction(self, other)
            }
        }
    }
}

impl MemoryEnlarger {
    /// Returns the function that replaces `memory.grow`. It takes a number of pages, and
    /// returns the number of the first one: an additional page if enough of them are
    /// left, otherwise the result of `memory.grow`.
    fn grow_body(&self) -> Function {
        let mut grow = Function::new([]);
        grow.instructions()
            .local_get(0)
            .i32_const(self.initial_pages)
            .global_get(self.next_page_global)
            .i32_sub()
            .i32_le_u()
            .if_(BlockType::Result(ValType::I32))
            .global_get(self.next_page_global)
            .global_get(self.next_page_global)
            .local_get(0)
            .i32_add()
            .global_set(self.next_page_global)
            .else_()
            .local_get(0)
            .memory_grow(0)
            .end()
            .end();
        grow
    }
}
