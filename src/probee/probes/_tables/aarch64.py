"""arm64: struct user_pt_regs (arch/arm64/include/uapi/asm/ptrace.h) and the AAPCS64 calling convention."""

REGISTERS = {**{f"r{n}": 8 * n for n in range(31)}, **{f"x{n}": 8 * n for n in range(31)}}
REGISTERS.update({"fp": 232, "lr": 240, "sp": 248, "pc": 256, "ip": 256, "pstate": 264, "orig_x0": 272})
ARGUMENTS = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7")
RETURN_VALUE = "r0"
PROGRAM_COUNTER = "pc"
STACK_POINTER = "sp"
FRAME_POINTER = "fp"
STACK_ARGUMENT_OFFSET = 0
STACK_ARGUMENT_ALIGNED = True  # once an argument is on the stack, all later ones are; 16-byte ones start at an even register
LARGE_BY_REFERENCE = True  # a struct above 16 bytes is passed by address
HIDDEN_RESULT_ARGUMENT = False  # the address of a large result comes in x8
