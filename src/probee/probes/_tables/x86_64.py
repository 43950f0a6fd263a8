"""x86-64: struct pt_regs (arch/x86/include/uapi/asm/ptrace.h) and the System V calling convention."""

REGISTERS = {
    "r15": 0, "r14": 8, "r13": 16, "r12": 24, "bp": 32, "bx": 40, "r11": 48, "r10": 56, "r9": 64, "r8": 72, "ax": 80,
    "cx": 88, "dx": 96, "si": 104, "di": 112, "orig_ax": 120, "orig_rax": 120, "ip": 128, "pc": 128, "cs": 136,
    "flags": 144, "sp": 152, "ss": 160,
}  # fmt: skip
ARGUMENTS = ("di", "si", "dx", "cx", "r8", "r9")
RETURN_VALUE = "ax"
PROGRAM_COUNTER = "ip"
STACK_POINTER = "sp"
FRAME_POINTER = "bp"
STACK_ARGUMENT_OFFSET = 8  # the return address lies below the first one
STACK_ARGUMENT_ALIGNED = False  # an argument that does not fit the registers leaves them to later ones
LARGE_BY_REFERENCE = False
HIDDEN_RESULT_ARGUMENT = True  # the address of a large result comes in the first register
