# The whole operating system of a guest inside the guest: firmware of 64 KiB that gives every PCI
# device back as soon as it is asked for, through the ACPI hot-plug registers of QEMU's q35
# (docs/specs/acpi_pci_hotplug: select 0xcd0, down 0xcc4, eject 0xcc8).
  .code16
  .globl _start
_start:
  cli
again:
  xorl %ecx, %ecx
bus:
  movl %ecx, %eax
  movw $0xcd0, %dx
  outl %eax, %dx
  movw $0xcc4, %dx
  inl %dx, %eax
  testl %eax, %eax
  jz next
  movw $0xcc8, %dx
  outl %eax, %dx
next:
  incl %ecx
  cmpl $32, %ecx
  jb bus
  movl $0x4000, %ecx
pause_a_while:
  pause
  decl %ecx
  jnz pause_a_while
  jmp again
  .org 0xfff0
  ljmp $0xf000, $_start
  .org 0xffff
  .byte 0
