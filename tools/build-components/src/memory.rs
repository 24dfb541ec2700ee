//! Room for a guest's first allocations in the memory that it starts with.
//!
//! Rust's allocator for WebAssembly does not use that memory: its first allocation grows the
//! memory. The host then has to unprotect pages, and to protect them again for the next
//! instance: two system calls for each memory and request, which stop all threads of a
//! server. So the memory starts with more pages, and `memory.grow` hands these out first.

use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType,
    ImportSection, Instruction, MemoryType, Module, TypeSection, ValType,
};
use wasmparser as parsed;

/// The additional pages, of 64 KiB each. A usual request fills one of them.
const ROOM: i32 = 4;

/// The module, with room in its memory.
pub fn with_room(module: &[u8]) -> Result<Vec<u8>> {
    let mut roomy = Module::new();
    let mut room = Room::default();
    let parser = parsed::Parser::new(0);
    room.parse_core_module(&mut roomy, parser, module)
        .context("giving it room in its memory")?;
    ensure!(!room.asks_for_size, "it would see that its memory has room");
    Ok(roomy.finish())
}

/// Where things are in the module, as it is read from its start to its end.
#[derive(Default)]
struct Room {
    /// The type of `memory.grow`.
    grow_type: u32,
    /// The function that takes its place.
    grow: u32,
    /// The global variable that holds the first page that nobody has.
    next: u32,
    /// The first page behind the room.
    end: i32,
    asks_for_size: bool,
}

type Encoded<T = ()> = Result<T, Error<Infallible>>;

impl Reencode for Room {
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
        // All of them are functions.
        self.grow = imports.len();
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: parsed::FunctionSectionReader<'_>,
    ) -> Encoded {
        utils::parse_function_section(self, functions, section)?;
        self.grow += functions.len();
        functions.function(self.grow_type);
        Ok(())
    }

    fn memory_type(&mut self, memory: parsed::MemoryType) -> Encoded<MemoryType> {
        let mut memory = utils::memory_type(self, memory);
        memory.minimum += ROOM as u64;
        self.end = memory.minimum as i32;
        Ok(memory)
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: parsed::GlobalSectionReader<'_>,
    ) -> Encoded {
        utils::parse_global_section(self, globals, section)?;
        self.next = globals.len();
        let variable = GlobalType {
            val_type: ValType::I32,
            mutable: true,
            shared: false,
        };
        globals.global(variable, &ConstExpr::i32_const(self.end - ROOM));
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: parsed::CodeSectionReader<'_>,
    ) -> Encoded {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.grow());
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: parsed::Operator<'a>) -> Encoded<Instruction<'a>> {
        match operator {
            parsed::Operator::MemoryGrow { .. } => Ok(Instruction::Call(self.grow)),
            other => {
                self.asks_for_size |= matches!(other, parsed::Operator::MemorySize { .. });
                utils::instruction(self, other)
            }
        }
    }
}

impl Room {
    /// `fn grow(pages)`: the first of so many pages, from the room if they fit.
    fn grow(&self) -> Function {
        let mut grow = Function::new([]);
        grow.instructions()
            .local_get(0)
            .i32_const(self.end)
            .global_get(self.next)
            .i32_sub()
            .i32_le_u()
            .if_(BlockType::Result(ValType::I32))
            .global_get(self.next)
            .global_get(self.next)
            .local_get(0)
            .i32_add()
            .global_set(self.next)
            .else_()
            .local_get(0)
            .memory_grow(0)
            .end()
            .end();
        grow
    }
}
