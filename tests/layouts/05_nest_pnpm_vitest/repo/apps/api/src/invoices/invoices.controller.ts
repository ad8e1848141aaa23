import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { InvoicesService } from './invoices.service';

@Controller('invoices')
export class InvoicesController {
  constructor(private readonly invoices: InvoicesService) {}

  @Get(':id')
  one(@Param('id') id: string) {
    return this.invoices.one(id);
  }

  @Post()
  async create(@Body() body: { lines: number[] }): Promise<{ total: number }> {
    return this.invoices.create(body.lines);
  }
}
